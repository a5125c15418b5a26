"""Whole flows, from text to result, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from wvflow.service.api import Program, RunResult, load
from wvflow.testing import Sandbox

RunFlow = Callable[..., RunResult]


@pytest.fixture
def make_program(tmp_path: Path) -> Callable[..., Program]:
    def make(flow: str, activities: str = "", **files: str) -> Program:
        (tmp_path / "program.wv").write_text(dedent(flow))
        if activities:
            (tmp_path / "activities.py").write_text(dedent(activities))
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(dedent(text).lstrip())
        return load(tmp_path / "program.wv")

    return make


@pytest.fixture
def run_flow(make_program: Callable[..., Program]) -> RunFlow:
    def run(
        flow: str, activities: str = "", params: Mapping[str, object] | None = None, name: str = "F", **files: str
    ) -> RunResult:
        return make_program(flow, activities, **files).run(name, params)

    return run


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Sandbox]]:
    """Programs on a virtual clock, with the ``ACTIVITIES`` of the test's module beside them."""
    made: list[Sandbox] = []

    def make(text: str) -> Sandbox:
        (tmp_path / "activities.py").write_text(request.module.ACTIVITIES)
        (tmp_path / "f.wv").write_text(text)
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1]

    yield make
    for one in made:
        one.close()
