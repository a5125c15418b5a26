"""Where lines may break: groups of breaks that are taken together, from the tree and from the brackets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from wvflow.syntax import nodes as n
from wvflow.syntax.formatter.pieces import Piece
from wvflow.syntax.nodes import Module, SyntaxNode
from wvflow.syntax.walk import children

_LISTS = (n.SelectOp, n.AddOp, n.AggOp, n.GroupOp, n.OrderOp, n.ExcludeOp, n.RenameOp, n.ShiftOp)
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Group:
    """Breaks that are taken together or not at all. ``first`` and ``last``: the pieces that it holds, the last one not
    included. ``leads``: it begins on a line of its own, indented, when it breaks. ``forced``: it breaks in any case.
    ``airy``: empty lines between its parts stay."""

    __slots__ = ("airy", "broken", "first", "forced", "indent", "last", "leads", "nest")

    def __init__(self, first: int, last: int, nest: int, *, leads: bool = False, airy: bool = False) -> None:
        self.first = first
        self.last = last
        self.nest = nest
        self.leads = leads
        self.airy = airy
        self.forced = False
        self.broken = False
        self.indent = 0


class Break:
    """A place before a piece where a line ends if ``group`` breaks, and the indentation behind it."""

    __slots__ = ("group", "nest")

    def __init__(self, group: Group, nest: int) -> None:
        self.group = group
        self.nest = nest


def _printed(root: SyntaxNode) -> Iterator[SyntaxNode]:
    """All nodes but those in the holes of strings: a string is one piece, and stays as it is."""
    rest = [root]
    while rest:
        node = rest.pop()
        yield node
        if not isinstance(node, n.Interpolation):
            rest += reversed(children(node))


class Layout:
    """The groups of a program, by the piece that each begins with, and the breaks by the piece behind them."""

    def __init__(self, text: str, pieces: Sequence[Piece], module: Module) -> None:
        self._text = text
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self.groups: dict[int, list[Group]] = {}
        self.breaks: dict[int, Break] = {}
        self.tight: set[int] = set()
        self.snug: set[int] = set()
        self._closers = _matched(pieces)
        self._whole = self._group(0, len(pieces), 0, airy=True)
        self._whole.forced = True
        self._items(self._whole, [one.span.start for one in module.statements[1:]], nest=0)
        for statement in module.statements:
            for node in _printed(statement):
                self._node(node)
        self._brackets()
        self._separators()
        self._force()
        for several in self.groups.values():
            several.sort(key=lambda group: -group.last)

    def at(self, offset: int) -> int:
        """The first piece that begins at or behind an offset."""
        return bisect_left(self._starts, offset)

    # --- from the tree ------------------------------------------------------------------------------------------------

    def _node(self, node: SyntaxNode) -> None:
        match node:
            case n.Query():
                self._query(node)
            case n.With():
                self._with(node)
            case n.StageDef(body=body):
                self._leading(body)
            case n.FlowDef(items=items):
                self._block(node, [one.span.start for one in items], airy=True)
            case n.TypeDef(members=members):
                self._block(node, [one.span.start for one in members])
            case n.ForkOp(stages=stages):
                self._block(node, [one.span.start for one in stages], airy=True)
            case n.RouteOp(cases=cases):
                self._block(node, [self._case_start(one) for one in cases])
            case n.Config(style="block" | "nested", items=items):
                self._block(node, [one.span.start for one in items])
            case n.WhereOp(condition=condition) | n.JoinOp(on=condition) if isinstance(condition, SyntaxNode):
                self._condition(condition)
            case n.Paren(inner=n.BinaryExpr(op="and" | "or") as inner):
                self._condition(inner, nest=0)
            case n.CaseExpr(branches=branches):
                self._case(node, branches)
            case n.IndexExpr(operand=operand):
                self._tight(self.at(operand.span.end))
            case n.Param(variadic=True, type=n.TypeName() as declared):
                self._tight(self._end(declared))
            case n.TypeName(args=(int(), *_)):
                self._tight(*range(self.at(node.span.start) + 1, self._end(node)))
            case n.TypedLiteral():
                self._tight_colon(node)
            case n.StructExpr() | n.MapExpr():
                self._snug_braces(node)
            case n.SampleOp(size=size, percent=True) | n.RouteCase(share=n.NumberLiteral() as size):
                self._percent(size)
            case _ if isinstance(node, _LISTS):
                self._list(node)

    def _query(self, node: n.Query) -> None:
        """Operators break together: each stands on a line of its own."""
        starts = [self._pipe_before(self.at(one.span.start)) for one in node.operators]
        first = self.at(node.span.start)
        starts = [one for one in starts if one > first]
        if not starts:
            return
        group = self._group_over(node, 0)
        for index in starts:
            self.breaks[index] = Break(group, 0)
        if any(self._line_ends_before(index) for index in starts):
            group.forced = True

    def _pipe_before(self, index: int) -> int:
        return index - 1 if index and self._pieces[index - 1].key == "|" else index

    def _leading(self, body: n.Query) -> None:
        """A stage's body that takes several lines begins on one of its own."""
        self._group_over(body, 0).leads = self._pieces[self.at(body.span.start)].key != "{"

    def _with(self, node: n.With) -> None:
        group = self._group_over(node, 0)
        group.forced = True
        for start in (*[cte.span.start for cte in node.ctes[1:]], node.query.span.start):
            self.breaks[self.at(start)] = Break(group, 0)

    def _block(self, node: SyntaxNode, starts: Sequence[int], *, airy: bool = False) -> None:
        """The braces around parts, each on a line of its own."""
        if not starts:
            return
        opener = self.at(starts[0]) - 1
        while opener > 0 and self._pieces[opener].key != "{":
            opener -= 1
        closer = self._closers.get(opener)
        if closer is None:
            return
        group = self._group(opener, closer + 1, 2, airy=airy)
        self._items(group, starts, nest=2)
        self.breaks[closer] = Break(group, 0)
        several = len(starts) > 1 and not isinstance(node, n.Config | n.TypeDef)
        group.forced = several or self._line_ends_before(opener + 1)

    def _case_start(self, case: n.RouteCase) -> int:
        return case.span.start

    def _items(self, group: Group, starts: Iterable[int], nest: int) -> None:
        for start in starts:
            self.breaks[self.at(start)] = Break(group, nest)

    def _list(self, operator: SyntaxNode) -> None:
        """Items of an operator: one a line, indented, when they are too many for one."""
        first, last = self.at(operator.span.start), self._end(operator)
        items = first + 1
        while items < last and self._pieces[items].key in ("by", "distinct", "to", "right", "left"):
            items += 1
        commas = [index for index in self._outside(items, last) if self._pieces[index].key == ","]
        if items >= last or not commas:
            return
        group = self._group(items, last, 2, leads=True)
        for index in commas:
            if index + 1 < last:
                self.breaks[index + 1] = Break(group, 0)
        group.forced = self._line_ends_before(items)

    def _condition(self, condition: SyntaxNode, nest: int = 2) -> None:
        """``and`` and ``or`` that are not in parentheses begin lines."""
        first, last = self.at(condition.span.start), self._end(condition)
        words = [index for index in self._outside(first, last) if self._pieces[index].key in ("and", "or")]
        words = [index for index in words if not self._of_between(first, index)]
        if not words:
            return
        group = self._group(first, last, nest)
        for index in words:
            self.breaks[index] = Break(group, nest)
        group.forced = any(self._line_ends_before(index) for index in words)

    def _of_between(self, first: int, index: int) -> bool:
        """Whether an ``and`` belongs to ``between``."""
        for before in range(index - 1, first - 1, -1):
            key = self._pieces[before].key
            if key == "between":
                return True
            if key in ("and", "or"):
                return False
        return False

    def _case(self, node: n.CaseExpr, branches: Sequence[n.When]) -> None:
        first, last = self.at(node.span.start), self._end(node)
        words = [index for index in self._outside(first, last) if self._pieces[index].key in ("when", "else")]
        group = self._group(first, last, 2)
        for index in words:
            self.breaks.setdefault(index, Break(group, 2))
        group.forced = any(self._line_ends_before(index) for index in words)

    def _tight_colon(self, node: SyntaxNode) -> None:
        """``'2026-01-01':date``."""
        index = self.at(node.span.start) + 1
        self._tight(index, index + 1)

    def _snug_braces(self, node: SyntaxNode) -> None:
        index = self.at(node.span.start)
        while self._pieces[index].key != "{":
            index += 1
        self.snug |= {self._pieces[index].start, self._pieces[self._closers.get(index, index)].start}

    def _percent(self, size: SyntaxNode) -> None:
        index = self.at(size.span.end)
        if self._pieces[index].key == "%":
            self._tight(index)

    def _tight(self, *indices: int) -> None:
        """Nothing stands before these pieces."""
        self.tight.update(self._pieces[index].start for index in indices)

    # --- from the brackets --------------------------------------------------------------------------------------------

    def _brackets(self) -> None:
        """What is in brackets moves to lines of its own where it is too long for one; commas break with it."""
        for opener, closer in self._closers.items():
            if closer == opener + 1 or self._is_block(opener, closer):
                continue
            group = self._group(opener, closer + 1, 2)
            self.breaks.setdefault(opener + 1, Break(group, 2))
            self.breaks.setdefault(closer, Break(group, 0))
            for index in self._outside(opener + 1, closer):
                if self._pieces[index].key == "," and index + 1 < closer:
                    self.breaks.setdefault(index + 1, Break(group, 2))
            group.forced = self._line_ends_before(opener + 1)

    def _is_block(self, opener: int, closer: int) -> bool:
        return any(group.last == closer + 1 and group.nest for group in self.groups.get(opener, ()))

    def _separators(self) -> None:
        """What stands between statements, on lines of its own or at the end of one."""
        depth = 0
        for index, piece in enumerate(self._pieces):
            depth += piece.key in _PAIRS
            depth -= piece.key in _PAIRS.values()
            if depth == 0 and piece.key == ";" and index and self._line_ends_before(index):
                self.breaks[index] = Break(self._whole, 0)

    # --- help ---------------------------------------------------------------------------------------------------------

    def _group_over(self, node: SyntaxNode, nest: int) -> Group:
        """The group of a node; that of a stage's body is the one of its query."""
        first, last = self.at(node.span.start), self._end(node)
        there = next((one for one in self.groups.get(first, ()) if (one.last, one.nest) == (last, nest)), None)
        return there or self._group(first, last, nest)

    def _group(self, first: int, last: int, nest: int, *, leads: bool = False, airy: bool = False) -> Group:
        group = Group(first, last, nest, leads=leads, airy=airy)
        self.groups.setdefault(first, []).append(group)
        return group

    def _end(self, node: SyntaxNode) -> int:
        return self.at(node.span.end)

    def _outside(self, first: int, last: int) -> Iterable[int]:
        """The pieces of a range that are in no bracket of it."""
        index = first
        while index < last:
            closer = self._closers.get(index)
            if closer is not None and closer < last:
                index = closer
            yield index
            index += 1

    def _line_ends_before(self, index: int) -> bool:
        before = self._pieces[index - 1].end if index else 0
        return "\n" in self._text[before : self._pieces[index].start] if index < len(self._pieces) else False

    def _force(self) -> None:
        """What holds a comment that ends a line, or something that breaks, breaks too."""
        hard = [index for index, piece in enumerate(self._pieces) if self._ends_line(piece)]
        groups = [group for several in self.groups.values() for group in several]
        marks = sorted([*hard, *[group.first for group in groups if group.forced and group.first]])
        for group in groups:
            inside = bisect_left(marks, group.first + 1)
            if inside < len(marks) and marks[inside] < group.last:
                group.forced = True

    def _ends_line(self, piece: Piece) -> bool:
        return any(
            self._text.startswith("--", one.start) or "\n" in self._text[one.start : one.end] for one in piece.comments
        )


def _matched(pieces: Sequence[Piece]) -> dict[int, int]:
    """The closing bracket of each opening one."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for index, piece in enumerate(pieces):
        if piece.key in _PAIRS:
            waiting.append(index)
        elif waiting and piece.key == _PAIRS[pieces[waiting[-1]].key]:
            found[waiting.pop()] = index
    return found
