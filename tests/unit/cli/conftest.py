from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console, RenderableType


@pytest.fixture
def plain() -> Callable[..., str]:
    """What a terminal without colours shows, without blanks at line ends."""

    def show(*things: RenderableType, width: int = 100) -> str:
        stream = StringIO()
        console = Console(file=stream, width=width, no_color=True, highlight=False, markup=False, emoji=False)
        for thing in things:
            console.print(thing)
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())

    return show
