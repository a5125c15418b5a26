"""Signals to real processes, of which some die: each is delivered once, in order, and none is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dying import When, run_in_a_process_that_dies
from straining import STRAIN
from wvflow.service.project import load_project
from wvflow.service.runs import Runs

PATIENCE = 60
APPROVAL = """
flow Chain = {
  state asked: int = 0
  signal ask = set_asked(asked + 1)
  signal approve(who: string)
  signal confirm(who: string)
  update raise(more: int) = set_asked(asked + more) where more > 0
  stage first [timeout: '7 days'] = wait for approve | note(text: 'first')
  stage second depends on first [timeout: '7 days'] = wait for confirm | select who = concat('by ', who)
  stage enough [timeout: '7 days'] = from second | wait until asked >= 2
}
"""


def sent(project: Any, *words: str) -> Any:
    done = project.wvflow("runs", "signal", "last", *words)
    assert done.returncode == 0, done.stderr
    return done


def test_another_process_sends_signals_and_the_run_goes_on_at_once(new_project: Callable[..., Any]) -> None:
    project = new_project(APPROVAL)
    process = project.start("run", "chain.wv")
    process.says("waiting: wait for approve")
    sent(project, "approve", "who=ann")
    process.says("second waiting: wait for confirm")
    sent(project, "confirm", "who=bob")
    process.says("enough waiting: wait until asked >= 2")
    sent(project, "ask")
    sent(project, "ask")
    process.end()
    assert process.returncode == 0
    assert project.json("runs", "output", "last", "--format", "json") == {"who": "by bob"}
    shown = project.json("runs", "show", "last")
    assert shown["variables"] == {"paused": False, "asked": 2}
    refused = project.wvflow("runs", "signal", "last", "ask")
    assert (refused.returncode, "has ended already: success" in refused.stderr) == (1, True)


def test_signals_to_a_run_that_nobody_drives_wait_for_its_next_owner(new_project: Callable[..., Any]) -> None:
    project = new_project(APPROVAL)
    process = project.start("run", "chain.wv")
    process.says("waiting: wait for approve")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    for words in (["approve", "who=ann"], ["ask"], ["confirm", "who=bob"], ["ask"]):
        assert "no process drives the run" in sent(project, *words).stderr
    assert project.wvflow("runs", "resume", "last").returncode == 0
    assert project.json("runs", "output", "last", "--format", "json") == {"who": "by bob"}
    assert project.calls == {"note": 1}


def test_an_update_is_answered_by_the_process_that_drives_the_run_and_by_no_other(
    new_project: Callable[..., Any],
) -> None:
    project = new_project(APPROVAL)
    process = project.start("run", "chain.wv")
    process.says("waiting: wait for approve")
    assert project.json("runs", "update", "last", "raise", "more=2")["result"] == {"asked": 2}
    refused = project.wvflow("runs", "update", "last", "raise", "more=0")
    assert (refused.returncode, "`where more > 0` does not hold with more = 0" in refused.stderr) == (1, True)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    refused = project.wvflow("runs", "update", "last", "raise", "more=1")
    assert (refused.returncode, "no process drives run" in refused.stderr) == (1, True)
    assert project.json("runs", "show", "last")["variables"] == {"paused": False, "asked": 2}


def test_a_paused_run_goes_on_when_another_process_says_so(new_project: Callable[..., Any]) -> None:
    project = new_project(APPROVAL)
    process = project.start("run", "chain.wv")
    process.says("waiting: wait for approve")
    assert project.wvflow("runs", "pause", "last").returncode == 0
    sent(project, "approve", "who=ann")
    shown = project.json("runs", "show", "last")
    while not shown["variables"]["paused"] or shown["stages"][0]["waits_for"]:
        shown = project.json("runs", "show", "last")
    assert (shown["state"], project.calls) == ("paused", {})
    assert project.wvflow("runs", "resume", "last").stdout.startswith("run ")
    process.says("second waiting: wait for confirm")
    assert project.calls == {"note": 1}
    assert project.wvflow("runs", "cancel", "last").returncode == 0


def test_a_paused_run_that_died_goes_on_when_it_is_resumed(new_project: Callable[..., Any]) -> None:
    project = new_project(APPROVAL)
    process = project.start("run", "chain.wv")
    process.says("waiting: wait for approve")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    project.wvflow("runs", "pause", "last")
    for words in (["approve", "who=ann"], ["ask"], ["confirm", "who=bob"], ["ask"]):
        sent(project, *words)
    assert project.wvflow("runs", "resume", "last").returncode == 0


COUNTED = """
flow F = {
  state n: int = 0
  signal add(more: int) = set_n(n * 10 + more)
  stage first = from [[0]] as t(more)
  stage a [timeout: '7 days'; continue_as_new: 1] =
    from first | while _.more < 3 | wait for add | append to 'taken.csv'
  stage b [timeout: '7 days'] = from a | wait until n >= 123
}
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_is_delivered_once_whichever_commit_its_run_dies_at(tmp_path: Path, when: When) -> None:
    """Its journal begins anew before every other commit, with signals on their way and not taken yet."""
    for number in range({"before": 2, "after": 4}[when], 60, 1 if STRAIN else 4):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(COUNTED)
        exit_code = run_in_a_process_that_dies(
            root, number, when, messages=[("add", {"more": more}) for more in (1, 2, 3)]
        )
        runs = Runs(load_project(root / "f.wv"))
        try:
            if exit_code and runs.find("last").state != "success":
                assert asyncio.run(runs.resume("last")).state == "success", number
            shown = runs.summary("last")
            assert shown.variables == {"paused": False, "n": 123}, number
            assert (root / "taken.csv").read_text().split() == ["more", "1", "2", "3"], number
        finally:
            runs.close()
        if exit_code == 0:
            assert number > 10, "it was never killed"
            return
    pytest.fail("the run never came to its end")


ANSWERED = """
flow F = {
  state n: int = 0
  update add(x: int) = set_n(n + x), note(n)
  stage a [timeout: '7 days'] = wait until n >= 2
}
"""
NOTE = """
from pathlib import Path
from wvflow import activity

@activity
def note(*, n: int) -> int:
    with open(Path(__file__).parent / "calls.txt", "a") as file:
        file.write(f"{n}\\n")
    return n * 10
"""


def test_an_accepted_update_is_answered_once_whichever_commit_its_run_dies_at(tmp_path: Path) -> None:
    for number in range(1, 20):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "f.wv").write_text(ANSWERED)
        (root / "activities.py").write_text(NOTE)
        exit_code = run_in_a_process_that_dies(root, number, "after", messages=[("add", {"x": 2})], kind="update")
        runs = Runs(load_project(root / "f.wv"))
        try:
            if runs.find("last").state != "success":
                assert asyncio.run(runs.resume("last")).state == "success", number
            answer = runs._store.answer(1)
            assert answer is not None, number
            assert (answer.called, answer.value, answer.failure) == (True, 20, None), number
            assert runs.summary("last").variables["n"] == 2, "accepted once"
            assert len((root / "calls.txt").read_text().split()) <= 2, "only the call that was under way is repeated"
        finally:
            runs.close()
        if exit_code == 0:
            assert number > 3, "it was never killed"
            return
    pytest.fail("the run never came to its end")
