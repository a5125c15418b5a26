"""A call, a stop and a project to discover, made for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pytest

from wvflow.activities.registry import Registry
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import StopToken


@pytest.fixture
def stop() -> StopToken:
    return StopToken()


@pytest.fixture
def call() -> Callable[..., ActivityCall]:
    def make(activity: str, rows: list[dict[str, Any]] | None = None, /, **fields: Any) -> ActivityCall:
        table = None if rows is None else pa.Table.from_pylist(rows)
        given: dict[str, Any] = {
            "arguments": {},
            "rows": None if table is None else table.to_reader,
            "run_id": "r1",
            "flow": "F",
            "stage": "s",
            "attempt": 1,
            "run_time": 0,
            "params": {},
            "log": lambda level, message: None,
            "heartbeat": lambda details: None,
        }
        return ActivityCall(activity=activity, **{**given, **fields})

    return make


@pytest.fixture
def run(call: Callable[..., ActivityCall], stop: StopToken) -> Callable[..., list[dict[str, Any]] | None]:
    """Run one function as an activity, to the end of its rows."""

    def run_function(
        function: Callable[..., Any], rows: list[dict[str, Any]] | None = None, /, **arguments: Any
    ) -> list[dict[str, Any]] | None:
        registry = Registry.of(function)
        (name,) = registry.activities
        result = registry.run(call(name, rows, arguments=arguments), stop)
        return None if result is None else result.read_all().to_pylist()

    return run_function


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Write files, each text by its path, into a project's folder."""

    def write(files: Mapping[str, str], name: str = "project") -> Path:
        for path, text in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text), encoding="utf-8")
        return tmp_path / name

    return write
