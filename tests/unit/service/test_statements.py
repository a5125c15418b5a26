from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wvflow import sql
from wvflow.service.project import load_project
from wvflow.service.suites import run_file
from wvflow.service.workspace import Workspace

PROGRAM = """model old = { from 'riders.csv' where age > 30 group by city agg n = _.count }
from old where n = { from old select n.max } save to most
from most
test _.size should be 1
from most where n > 5 delete
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wvflow.toml").write_text("")
    (tmp_path / "riders.csv").write_text("age,city\n40,Oslo\n50,Oslo\n35,Rome\n")
    (tmp_path / "program.wv").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was lowered."""
    seen: list[object] = []
    real = sql.lower

    def watched(*arguments: Any, **named: Any) -> Any:
        seen.append(arguments[0])
        return real(*arguments, **named)

    monkeypatch.setattr(sql, "lower", watched)
    return seen


def passes(folder: Path) -> bool:
    project = load_project(folder)
    return run_file(Workspace(project, project.files), "program.wv").ok


def test_statements_that_ran_before_are_not_lowered_again(folder: Path, lowered: list[object]) -> None:
    assert passes(folder)
    assert lowered
    lowered.clear()
    assert passes(folder)
    assert lowered == []


def test_a_changed_statement_is_lowered_anew(folder: Path, lowered: list[object]) -> None:
    assert passes(folder)
    lowered.clear()
    (folder / "program.wv").write_text(PROGRAM.replace("30", "20"))
    assert passes(folder)
    assert lowered
