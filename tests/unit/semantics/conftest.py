"""Texts checked and planned, without writing out trees."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.diagnostics import Diagnostic
from wvflow.lang.catalog import ActivitySignature, Catalog
from wvflow.semantics import Checked, check
from wvflow.source import Source
from wvflow.syntax import parse

CATALOG = Catalog(
    activities={name: ActivitySignature(name, takes_rows=True, open=True) for name in ("fetch", "send")},
)
Check = Callable[..., tuple[Checked, tuple[Diagnostic, ...]]]


@pytest.fixture
def checked() -> Check:
    """Check the text of one file, or of several by name; what the parser finds is a mistake of the test."""

    def run(*texts: str, catalog: Catalog = CATALOG) -> tuple[Checked, tuple[Diagnostic, ...]]:
        modules = []
        for number, text in enumerate(texts):
            module, unread = parse(Source(f"file{number}.wv", text))
            assert not unread, unread
            modules.append(module)
        return check(modules, catalog)

    return run
