"""What the lowering of one task shares: the dialect, fresh names, parameters met, and sub-queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.dialects import Dialect
from sqlglot.errors import ErrorLevel, UnsupportedError

from wvflow.diagnostics import nearest
from wvflow.lang.algebra import Rel
from wvflow.sql import Columns, DialectCannot, Locate, UnknownDialect
from wvflow.sql.dialects import BUCKETS, DIALECTS, RENAMED, Traits

if TYPE_CHECKING:
    from wvflow.sql.block import Query

# The generator recurses through sub-selects; each so many levels are made text on their own.
_LEVELS_AT_ONCE = 16

_CALLABLE = re.compile(r"\w+(?:\.\w+)*", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALLED = frozenset({"all", "columns", "distinct", "left", "map", "not", "right", "struct", "try_cast", "tuple"})
_RESERVED = frozenset(Dialect.get_or_raise("duckdb").generator_class.RESERVED_KEYWORDS)


class Context:
    """One lowering. ``query`` is set by ``relations``, which needs expressions as they need it."""

    query: Callable[[Rel], exp.Query]

    def __init__(self, dialect: str, columns: Columns, locate: Locate) -> None:
        if dialect not in DIALECTS:
            near = nearest(dialect.lower(), DIALECTS)
            known = f"known are {', '.join(sorted(DIALECTS))}"
            raise UnknownDialect(
                f"no SQL dialect is named `{dialect}`", help=f"did you mean `{near}`?" if near else known
            )
        self.dialect = dialect
        self.columns = columns
        self.locate = locate
        self.values: set[str] = set()
        self._numbers = count(1)
        self._depth = 0

    @property
    def is_duckdb(self) -> bool:
        return self.dialect == "duckdb"

    @property
    def traits(self) -> Traits:
        return DIALECTS[self.dialect]

    def fresh(self, prefix: str = "_q") -> str:
        return f"{prefix}{next(self._numbers)}"

    def name(self, text: str) -> exp.Identifier:
        """An identifier, quoted where it must be; the generator adds the dialect's own reserved words."""
        return exp.to_identifier(text, quoted=not _PLAIN.fullmatch(text) or text.lower() in _RESERVED)

    def table(self, parts: Sequence[str]) -> exp.Table:
        """A table by its name in parts: ``[[catalog,] schema,] table``."""
        names = [self.name(part) for part in parts]
        return exp.Table(**dict(zip(("this", "db", "catalog"), reversed(names), strict=False)))

    def parameter(self, name: str) -> exp.Expr:
        self.values.add(name)
        return exp.Placeholder(this=name)

    def refuse(self, operator: str) -> None:
        """Raises DialectCannot where the dialect has no form of it."""
        if operator in self.traits.refused:
            raise DialectCannot(operator, self.dialect)

    def function(self, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        """A call by its name in DuckDB. There it is passed as written; elsewhere sqlglot renames what it knows."""
        self.refuse(name)
        if name == "route_bucket":
            return self._bucket(*arguments)
        if self.is_duckdb and name == "array_except":
            return _members_not_in(*arguments)
        if self.is_duckdb or name == "concat":
            return exp.Anonymous(this=self._function_name(name), expressions=arguments)
        if other := RENAMED.get(self.dialect, {}).get(name):
            return exp.Anonymous(this=other, expressions=arguments)
        try:
            return exp.func(name, *arguments, dialect="duckdb")
        except ValueError:
            return exp.Anonymous(this=self._function_name(name), expressions=arguments)

    def _function_name(self, name: str) -> str | exp.Identifier:
        """The name as it is written, in quotes where it isn't a word."""
        reserved = self.is_duckdb and name.lower() in _RESERVED - _CALLED
        return self.name(name) if reserved or not _CALLABLE.fullmatch(name) else name

    def _bucket(self, key: exp.Expr) -> exp.Expr:
        """A number below a million, stable across dialects."""
        if (text := BUCKETS.get(self.dialect)) is None:
            raise DialectCannot("route by hash", self.dialect)
        made = sqlglot.parse_one(text, read=self.dialect)
        for column in list(made.find_all(exp.Column)):
            column.replace(key.copy())
        return exp.Paren(this=made)

    def nested(self, query: Query) -> exp.Expr:
        """A query as it stands in parentheses."""
        self._depth += 1
        level = self._depth
        node: exp.Expr = query.render()
        self._depth -= 1
        return exp.Var(this=self.text(node)) if level % _LEVELS_AT_ONCE == 0 else node

    def text(self, node: exp.Expr, *, pretty: bool = False) -> str:
        """SQL text; it uses the node up. Raises DialectCannot for what the generator knows that it can't print."""
        try:
            return node.sql(
                self.traits.printed or self.dialect,
                copy=False,
                pretty=pretty,
                normalize_functions=False,
                unsupported_level=ErrorLevel.RAISE,
            )
        except UnsupportedError as error:
            operator = "over" if node.find(exp.Window) else "query"
            raise DialectCannot(operator, self.dialect, help=str(error).splitlines()[0]) from None


def _members_not_in(array: exp.Expr, other: exp.Expr) -> exp.Expr:
    """DuckDB has no function for it."""
    member = exp.to_identifier("_m")
    inside = exp.Anonymous(this="list_contains", expressions=[other, exp.Column(this=member)])
    keep = exp.Lambda(this=exp.Not(this=inside), expressions=[member.copy()], colon=True)
    return exp.Anonymous(this="list_filter", expressions=[array, keep])
