"""Every program of the repository, and what holds for any text whatever."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.lang.catalog import Catalog
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import nodes as n
from wvflow.syntax import parse
from wvflow.syntax.formatter import format_text

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```wv\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LONGEST = 4_000
CALLS_OF_ANY, CALLS_OF_A_CHARACTER = 2_000, 20


def programs() -> list[str]:
    """The ``.wv`` files and the blocks of the documents; of long ones the beginning."""
    folders = ("examples", "tests", "docs", "src")
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.wv"))
    texts = [path.read_text(encoding="utf-8", errors="replace")[:_LONGEST] for path in files]
    for page in sorted(path for folder in ("docs", "tests") for path in (ROOT / folder).rglob("*.md")):
        texts += _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for text in texts if text]


class Work:
    """How many functions were called."""

    def __init__(self) -> None:
        self.calls = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            self.calls += 1


def answered(text: str, dump: Callable[[object], str]) -> bool:
    """Whether the text can be read. Whatever it is, the answer is a tree and findings, for work as long as the text."""
    work = Work()
    with work.counted():
        module, found = parse(Source("any.wv", text))
    assert work.calls <= CALLS_OF_ANY + CALLS_OF_A_CHARACTER * len(text), (work.calls, len(text))
    _in_order(found, text)
    _, told = check([module], Catalog())
    assert all(one.message for one in told)
    if has_errors(found):
        return False
    keeps_its_form(text, module, dump)
    return True


def _in_order(found: tuple[Diagnostic, ...], text: str) -> None:
    starts = [one.span.start for one in found]
    assert starts == sorted(starts)
    assert all(0 <= one.span.start <= one.span.end <= len(text) and one.message for one in found)


def keeps_its_form(text: str, module: n.Module, dump: Callable[[object], str]) -> None:
    """Formatting keeps the tree, and changes nothing when done again."""
    once, _ = format_text(Source("any.wv", text))
    again, _ = format_text(Source("any.wv", once))
    assert again == once
    reread, found = parse(Source("any.wv", once))
    assert not has_errors(found), found
    assert dump(reread.statements) == dump(module.statements)
