"""What the lowering of one task shares: the dialect, fresh names, parameters met, and sub-queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.dialects import Dialect
from sqlglot.errors import ErrorLevel, UnsupportedError

from wvflow.diagnostics import nearest
from wvflow.lang.algebra import Rel
from wvflow.sql import Columns, DialectCannot, Locate, UnknownDialect
from wvflow.sql.dialects import DIALECTS, Traits
from wvflow.sql.dialects.functions import RELATIVES

if TYPE_CHECKING:
    from wvflow.sql.block import Query

# The generator recurses through sub-selects; each so many levels are made text on their own.
_LEVELS_AT_ONCE = 16

_CALLABLE = re.compile(r"\w+(?:\.\w+)*", re.ASCII)
# What the generator finds that it can't print, by what is there.
_UNSAID: dict[type[exp.Expr], str] = {exp.Window: "over", exp.Struct: "struct"}
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

    @property
    def family(self) -> str:
        """The dialect by whose words functions are said."""
        return RELATIVES.get(self.dialect, self.dialect)

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

    def function_name(self, name: str) -> str | exp.Identifier:
        """The name as it is written, in quotes where it isn't a word."""
        reserved = self.is_duckdb and name.lower() in _RESERVED - _CALLED
        return self.name(name) if reserved or not _CALLABLE.fullmatch(name) else name

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
            operator = next((word for kind, word in _UNSAID.items() if node.find(kind)), "query")
            raise DialectCannot(operator, self.dialect, help=str(error).splitlines()[0]) from None
