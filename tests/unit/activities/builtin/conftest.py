"""Calls of built-in functions, as the driver makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wvflow.activities.registry import Registry
from wvflow.activities.settings import Settings
from wvflow.errors import TaskError
from wvflow.ports.stop import StopToken

Rows = list[dict[str, Any]]


@pytest.fixture
def logged() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def use(
    call: Callable[..., Any], stop: StopToken, logged: list[tuple[str, str]]
) -> Callable[..., list[dict[str, Any]] | None]:
    """Run the function with that key, to the end of its rows. Fields of the call begin with ``call_``."""

    def run(key: str, rows: Rows | None = None, settings: Settings | None = None, /, **given: Any) -> Rows | None:
        fields = {name.removeprefix("call_"): given.pop(name) for name in list(given) if name.startswith("call_")}
        told = {"log": lambda level, message: logged.append((level, message)), "task_key": "r1/s/0/0/0"}
        made = call("it", rows, arguments=given, function=key, **{**told, **fields})
        result = Registry({}, settings=settings).run(made, stop)
        return None if result is None else result.read_all().to_pylist()

    return run


@pytest.fixture
def failure(use: Callable[..., Any]) -> Callable[..., TaskError]:
    """Likewise, and how it fails."""

    def run(*args: Any, **given: Any) -> TaskError:
        with pytest.raises(TaskError) as caught:
            use(*args, **given)
        return caught.value

    return run
