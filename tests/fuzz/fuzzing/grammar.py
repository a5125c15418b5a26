"""A grammar as a table of productions, and texts drawn from it.

A production is lines, one per alternative. ``<name>`` in one stands for another production or for a name of the
surroundings; ``<name?>`` for it or nothing, ``<name*>`` for none to two, ``<name,>`` for a list of one to three,
``<name,!>`` for one that may end in a comma. A line that begins with ``~`` counts only where types don't matter. The
simplest alternative comes first: hypothesis shrinks towards it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

X = TypeVar("X")
Choose = Callable[[int, int], int]
"""Gives a whole number from the first up to the second."""
_PART = re.compile(r"<([a-z][a-z ]*)([?*,!]*)>")
_ENDLESS = 1_000
_DEEP = 5


class Part(NamedTuple):
    """Text as it stands, or a symbol with what makes one or several of it."""

    text: str
    symbol: str = ""
    mark: str = ""


class Pool:
    """Names and how often each was asked for. ``names``: by kind what may stand there; ``fresh`` ones are new."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.names = dict(names)
        self._made = 0

    def fresh(self) -> str:
        self._made += 1
        return f"n{self._made}"


class Grammar:
    def __init__(self, table: Mapping[str, str], *, typed: bool) -> None:
        self._rules = {name: _alternatives(text, typed=typed) for name, text in table.items()}
        self._heights = self._measured()

    def text(self, choose: Choose, symbol: str, pool: Pool, depth: int = _DEEP) -> str:
        """A text that the symbol derives; ``depth`` bounds the nesting of productions that hold themselves."""
        if symbol == "fresh":
            return pool.fresh()
        if symbol not in self._rules:
            return _drawn(choose, pool.names[symbol])
        usable = [one for one in self._rules[symbol] if self._height(one) <= depth and _is_there(one, pool)]
        lowest = min((self._height(one) for one in self._rules[symbol] if _is_there(one, pool)), default=0)
        chosen = usable or [one for one in self._rules[symbol] if _is_there(one, pool) and self._height(one) == lowest]
        return "".join(self._part(choose, part, pool, depth - 1) for part in _drawn(choose, chosen))

    def _part(self, choose: Choose, part: Part, pool: Pool, depth: int) -> str:
        if not part.symbol:
            return part.text
        least = 0 if part.mark in ("?", "*") else 1
        most = {"": 1, "?": 1, "*": 2}.get(part.mark, 3) if depth > 0 else least
        count = choose(least, most) if most > least else least
        several = [self.text(choose, part.symbol, pool, depth) for _ in range(count)]
        ending = "," if part.mark == ",!" and choose(0, 3) == 3 else ""
        return (", " if "," in part.mark else " ").join(several) + ending

    # --- how far each alternative is from words ---

    def _height(self, alternative: Sequence[Part]) -> int:
        needed = [self._heights.get(one.symbol, 0) for one in alternative if one.symbol and one.mark not in ("?", "*")]
        return 1 + max(needed, default=0)

    def _measured(self) -> dict[str, int]:
        self._heights = dict.fromkeys(self._rules, _ENDLESS)
        for _ in self._rules:
            for name, alternatives in self._rules.items():
                self._heights[name] = min(self._height(one) for one in alternatives)
        return self._heights

    def unreachable(self, start: str) -> set[str]:
        """Productions that no text of ``start`` has."""
        seen, waiting = {start}, [start]
        while waiting:
            symbols = {part.symbol for one in self._rules.get(waiting.pop(), ()) for part in one if part.symbol}
            waiting += symbols - seen
            seen |= symbols
        return self._rules.keys() - seen


def _alternatives(text: str, *, typed: bool) -> list[tuple[Part, ...]]:
    lines = [line.strip() for line in text.strip("\n").split("\n")]
    return [_parts(line.removeprefix("~").strip()) for line in lines if line and not (typed and line.startswith("~"))]


def _parts(line: str) -> tuple[Part, ...]:
    found, end = [], 0
    for match in _PART.finditer(line):
        found += [Part(line[end : match.start()].replace("⏎", "\n")), Part("", match[1], match[2])]
        end = match.end()
    return (*found, Part(line[end:].replace("⏎", "\n")))


def _is_there(alternative: Sequence[Part], pool: Pool) -> bool:
    """Whether the surroundings have the names that it needs."""
    return all(pool.names[one.symbol] for one in alternative if one.symbol in pool.names)


def _drawn(choose: Choose, options: Sequence[X]) -> X:
    return options[choose(0, len(options) - 1)]
