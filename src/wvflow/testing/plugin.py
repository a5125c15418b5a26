"""The pytest plugin: fixture ``wvflow_sandbox``. pytest loads it by itself where wvflow is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wvflow.testing.sandbox import Sandbox


@pytest.fixture
def wvflow_sandbox(request: pytest.FixtureRequest) -> Iterator[Callable[..., Sandbox]]:
    """A function that makes a ``Sandbox``; its path is relative to the test's own file. All are closed at the end."""
    from wvflow.testing.sandbox import Sandbox

    with ExitStack() as opened:

        def make(path: str | Path, **options: str) -> Sandbox:
            return opened.enter_context(Sandbox(request.path.parent / path, **options))

        yield make
