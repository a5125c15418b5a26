"""``wvflow repl`` as somebody types into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from wvflow.cli.app import App
from wvflow.cli.prompt import Completions, _styles, prompt_loop
from wvflow.cli.shell import run_text
from wvflow.service.project import load_project
from wvflow.service.shell import Shell
from wvflow.service.statements import Rows

Call = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def shell(project: Path) -> Iterator[Shell]:
    with closing(Shell(load_project(project))) as one:
        yield one


def typed(shell: Shell, text: str) -> None:
    with create_pipe_input() as pipe:
        pipe.send_text(text)
        prompt_loop(App(), shell, input=pipe, output=DummyOutput())


def rows(shell: Shell, text: str) -> list[tuple[object, ...]]:
    return [row for outcome in shell.outcomes(text) if isinstance(outcome, Rows) for row in outcome.result.rows]


def test_a_text_over_several_lines_runs_at_its_semicolon(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    typed(shell, "from [[1], [2]] as t(x)\rwhere x > 1;\rexit\r")
    out = capsys.readouterr().out
    assert "│   2 │" in out
    assert "│   1 │" not in out


def test_what_was_typed_is_in_the_history(shell: Shell, project: Path) -> None:
    typed(shell, "select 42 as x;\rexit\r")
    assert "select 42 as x;" in (load_project(project).state / "history").read_text()


def test_definitions_stay_and_can_be_given_anew(shell: Shell) -> None:
    assert rows(shell, "model m = { select 1 as a }") == []
    assert rows(shell, "from m") == [(1,)]
    assert rows(shell, "model m = { select 2 as a }; from m") == [(2,)]
    assert rows(shell, "val n = 5") == []
    assert rows(shell, "select n as n") == [(5,)]


def test_a_mistake_ends_the_text_and_not_the_session(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_text(App(), shell, "from nowhere_at_all") == 1
    assert "no table `nowhere_at_all`" in capsys.readouterr().err
    assert run_text(App(), shell, "select 1 / ") == 1
    assert rows(shell, "select 1 as x") == [(1,)]


def test_ctrl_c_stops_the_query_and_not_the_session(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from wvflow.service import stoppable as module

    wait = module._Step.wait

    def interrupted(step: module._Step) -> None:
        monkeypatch.setattr(module._Step, "wait", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Step, "wait", interrupted)
    assert run_text(App(), shell, LONG_QUERY) == 130
    assert rows(shell, "select 1 as x") == [(1,)]


LONG_QUERY = "from generate_series(1, 100000) as a(x), generate_series(1, 100000) as b(y) agg s = (x % (y + 1)).sum"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from orders_of", "orders_of_mine"),
        ("from orders_of_mine where amo", "amount"),
        ("whe", "where"),
        ("select x.to_str", "to_string"),
        ("select list_so", "list_sort"),
    ],
)
def test_tab_completes_keywords_tables_columns_and_functions(shell: Shell, text: str, expected: str) -> None:
    rows(shell, 'model orders_of_mine = { select 1 as amount }; execute sql"create table t (amount int)"; from t')
    found = Completions(shell).get_completions(Document(text, len(text)), CompleteEvent())
    assert expected in [one.text for one in found]


def test_words_of_the_language_have_a_colour() -> None:
    styles = _styles("from 'x' -- c")
    assert (styles[0], styles[5], styles[9]) == ("class:word", "class:text", "class:comment")


def test_what_comes_from_a_pipe_is_run(project: Path, wvflow: Call) -> None:
    assert "│   3 │" in wvflow("repl", input="select 1 + 2 as x").stdout
