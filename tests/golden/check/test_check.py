"""Programs with expectations beside the line: ``--! WV0201 "part of the message"``. Nothing else may be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.lang.catalog import Catalog
from wvflow.plan.codec import decode, encode
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

HERE = Path(__file__).parent


@pytest.mark.parametrize("path", sorted(HERE.glob("*.wv")), ids=lambda path: path.stem)
def test_exactly_the_expected_is_found(
    path: Path, catalog: Catalog, told_as_marked: Callable[[str, Sequence[Diagnostic]], None]
) -> None:
    text = path.read_text()
    module, unread = parse(Source(path.name, text))
    checked, found = check([module], catalog)
    told_as_marked(text, [*unread, *found])
    if not has_errors([*unread, *found]):
        bundle = build(checked, catalog)
        assert decode(encode(bundle)) == bundle
