"""Programs whose `test` statements say what the language does; the names of those that are refused begin so, and their
comment tells the class of the mistake. All are files of one program, run as `wvflow test` runs them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from wvflow.service.project import load_project
from wvflow.service.suites import run_file
from wvflow.service.workspace import Workspace

HERE = Path(__file__).parent
REFUSED = re.compile(r"^-- refused: (\w+)$", re.MULTILINE)
PROGRAMS = sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*.wv"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The folder as one program, in a place where it may save files."""
    folder = tmp_path_factory.mktemp("queries") / "program"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    project = load_project(folder)
    return Workspace(project, project.files)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_what_it_says(workspace: Workspace, name: str) -> None:
    report = run_file(workspace, name)
    first = report.first
    said = "" if first is None else f"{first.kind} in line {first.span.position.line}: {first.message}"
    refused = REFUSED.search((HERE / name).read_text())
    if refused is None:
        assert (said, report.unjudged) == ("", ())
    else:
        assert said.partition(" ")[0] == refused[1], said
