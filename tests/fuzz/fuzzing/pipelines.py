"""Pipelines that grow: each operator is drawn over the columns that DuckDB says the rows so far have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import msgspec

from fuzzing.grammar import Choose, Grammar, Pool
from fuzzing.rules import GRAMMAR
from fuzzing.tables import PRELUDE, Described, Engine
from wvflow.diagnostics import Code, Diagnostic, has_errors
from wvflow.lang.algebra import Pivot, Rel
from wvflow.lang.catalog import Columns
from wvflow.lang.kinds import parse as parse_kind
from wvflow.lang.relations import nodes
from wvflow.semantics import Checked, check
from wvflow.source import Source
from wvflow.sql import lower_relation
from wvflow.syntax import parse

TYPED = Grammar(GRAMMAR, typed=True)
_PRELUDE = parse(Source("prelude.wv", PRELUDE))[0]
_OF_VALUES = (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException)
_MOST_OPERATORS = 5
_ALIAS = re.compile(r"(?:from|join|as) ([a-z]\w+)\b(?! as)")
_LONGEST = 1_500


class Understood(NamedTuple):
    """What was made of a program: ``selects`` are its queries as SQL."""

    text: str
    found: tuple[Diagnostic, ...]
    checked: Checked
    selects: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return has_errors(self.found)


class World:
    """The compiler and DuckDB over the same tables."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._catalog = self.engine.catalog()

    def understood(self, text: str) -> Understood:
        """Check a program as a user's is: what it reads besides tables is asked for once."""
        module, unread = parse(Source("drawn.wv", text))
        checked, found = check([module, _PRELUDE], self._catalog)
        if asked := {source: columns for source in checked.wanted if (columns := self._columns(source)) is not None}:
            known = msgspec.structs.replace(self._catalog, columns={**self._catalog.columns, **asked})
            checked, found = check([module, _PRELUDE], known)
        selects = () if has_errors((*unread, *found)) else tuple(_select(one.relation) for one in checked.queries)
        return Understood(text, (*unread, *found), checked, selects)

    def accepted(self, made: Understood) -> Described:
        """The columns of the query as DuckDB has them, under the names that the checker gives them.

        What neither of them can know before there are rows, or what the checker warned of, may fail.
        """
        (select,), told = made.selects, made.checked.queries[0].columns
        try:
            columns = self.engine.described(select)
            self.engine.connection.execute(f"EXPLAIN {select}")
        except _OF_VALUES:
            return self.engine.tables["riders"]
        except duckdb.Error as error:
            if _is_excused(error, made):
                return self.engine.tables["riders"]
            raise AssertionError((made.text, select, made.found)) from error
        names = [name for name, _ in columns]
        assert told is None or _apart(told) == _apart(names), (made.text, select, told, names)
        return [(name, type_) for name, (_, type_) in zip(told or names, columns, strict=True)]

    def anything(self) -> Pool:
        """Names of all tables at once."""
        every = [column for described in self.engine.tables.values() for column in described]
        pool = self.engine.pool(list(dict(every).items()), ["riders"])
        pool.names["self"] = ["from riders"]
        return pool

    def _columns(self, source: Rel) -> Columns | None:
        try:
            described = self.engine.described(lower_relation(source).select)
        except duckdb.Error:
            return None
        return tuple((name, parse_kind(type_).type) for name, type_ in described)


def _is_excused(error: duckdb.Error, made: Understood) -> bool:
    """The columns aren't all known (a pivot over values that only the rows tell), the checker warned of types, or the
    engine has no such function, which only it can know."""
    if isinstance(error, duckdb.BinderException):
        unknown = any(isinstance(one, Pivot) for one in nodes(made.checked.queries[0].relation))
        mistyped = any(one.code is Code.TYPE_MISMATCH for one in made.found)
        return unknown or mistyped or "LATERAL join" in str(error)
    return isinstance(error, duckdb.CatalogException) and "Function with name" in str(error)


def _select(relation: Rel) -> str:
    return lower_relation(relation).select


class Pipeline:
    """A program that grows operator by operator. ``refused``: texts that the checker found fault with; ``taken``: how
    many weren't."""

    def __init__(self, world: World, choose: Choose) -> None:
        self._world = world
        self._choose = choose
        self.refused: list[str] = []
        self.taken = 0
        self.text = ""
        self._columns: Described = world.engine.tables["riders"]
        self._pool = world.engine.pool(self._columns)

    def grow(self) -> None:
        """A source and some operators; one that is refused is left out again."""
        while not self.text:
            self._try("", "input")
        for _ in range(self._choose(0, _MOST_OPERATORS)):
            self._try(self.text, "step")

    def _try(self, before: str, symbol: str) -> None:
        self._surround(before)
        text = before + TYPED.text(self._choose, symbol, self._pool)
        made = self._world.understood(text)
        if made.refused:
            self.refused.append(text)
            return
        self.text, self._columns = text, self._world.accepted(made)
        self.taken += 1

    def _surround(self, before: str) -> None:
        """What the next operator may name: columns, sources, and the text so far for operators over two alike."""
        names = {name for name, _ in self._columns}
        self._pool.names |= self._world.engine.pool(self._columns).names
        self._pool.names["self"] = [before if 0 < len(before) < _LONGEST else "from riders limit 1"]
        self._pool.names["qualifier"] = [one for one in _ALIAS.findall(before) if one not in names] or ["riders"]


def _apart(names: Sequence[str]) -> list[str]:
    """Names without what DuckDB adds to keep those of a sub-query apart: a second ``a`` is ``a_1``."""
    return [re.sub(r"(_\d+)+\b", "", name) for name in names]
