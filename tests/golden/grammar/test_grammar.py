"""Every production and every rule of ``docs/grammar.md`` has its smallest program here, and is read as it says.

The cases stand in Markdown: a section for each production or rule, in it programs with what is told of them behind
``--!``, and behind a program its tree, where the tree is what matters. ``mistakes.md`` has several mistakes a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from wvflow.diagnostics import Code, Diagnostic
from wvflow.lang.catalog import Catalog
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

HERE = Path(__file__).parent
GRAMMAR = (HERE.parents[2] / "docs" / "grammar.md").read_text(encoding="utf-8")
PRODUCTION = re.compile(r"^(\w+) +:=", re.MULTILINE)
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Case(NamedTuple):
    page: str
    title: str
    text: str
    tree: str | None


def sections(page: str) -> list[tuple[str, str]]:
    return SECTION.findall((HERE / page).read_text(encoding="utf-8"))


def cases() -> Iterator[Case]:
    for page in ("flows.md", "rules.md", "expressions.md", "mistakes.md"):
        for title, body in sections(page):
            blocks = BLOCK.findall(body)
            for number, (kind, text) in enumerate(blocks):
                if kind == "wv":
                    follows = blocks[number + 1 :][:1]
                    yield Case(page, title, text, follows[0][1] if follows and follows[0][0] == "tree" else None)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.page}: {case.title}") for case in cases()])
def test_a_case_is_read_as_it_says(
    case: Case,
    catalog: Catalog,
    told_as_marked: Callable[[str, Sequence[Diagnostic]], None],
    dump: Callable[[object], str],
) -> None:
    module, unread = parse(Source("case.wv", case.text))
    found = [*unread, *check([module], catalog)[1]]
    told_as_marked(case.text, [one for one in found if one.code is not Code.UNREAD_STAGE])
    if case.tree is not None:
        assert _words(" ".join(map(dump, module.statements))) == _words(case.tree)


def _words(tree: str) -> str:
    """Blanks and line ends in a tree mean nothing."""
    return re.sub(r"\s*([()\[\]])\s*", r" \1 ", " ".join(tree.split())).replace("  ", " ").strip()


@pytest.mark.parametrize(("page", "heading"), [("flows.md", "Flows"), ("expressions.md", "Expressions")])
def test_every_production_has_a_case(page: str, heading: str) -> None:
    productions = PRODUCTION.findall(_part(heading))
    assert [title for title, _ in sections(page)] == productions


def test_every_sentence_of_the_rules_has_a_case() -> None:
    """By the count of cases in each paragraph, as a rule's title is shorter than its sentence."""
    paragraphs = re.findall(r"^\*\*(.+?)\.\*\*", _part("Rules"), re.MULTILINE)
    titles = [title.partition(":")[0] for title, _ in sections("rules.md")]
    assert {name.replace("Where things end", "Ends") for name in paragraphs} == set(titles)
    assert all(BLOCK.search(body) for _, body in sections("rules.md"))


def _part(heading: str) -> str:
    return next(body for title, body in SECTION.findall(GRAMMAR) if title == heading)
