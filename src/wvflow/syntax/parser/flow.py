"""Flows, stages and activities: flow language, section 1."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

from wvflow.source import Span
from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    ActivityDef,
    CallInput,
    Config,
    FlowDef,
    FlowItem,
    Input,
    Name,
    Param,
    Query,
    StageDef,
    StateOf,
    TriggerExpr,
    TriggerJunction,
    TriggerNot,
)
from wvflow.syntax.parser.config import CONFIG_FORMS
from wvflow.syntax.parser.flow_operators import stands_last
from wvflow.syntax.parser.handlers import HandlerParser
from wvflow.syntax.parser.recovery import Broken
from wvflow.syntax.tokens import OPERATORS, T

ITEM_WORDS = ("stage", "state", "signal", "query", "update")
DEFINITION_WORDS = ("flow", "activity", "model", "val")
STATEMENT_WORDS = frozenset(
    (*DEFINITION_WORDS, "from", "select", "with", "def", "type", "show", "describe", "explain", "execute", "use")
    + ("import", "package", "run", "call")
)
STATES = ("success", "failed", "skipped", "cancelled", "done")
_NAMED_STATEMENTS = ("flow", "activity", "run", "call", "package")
_HEADER_KEYS = frozenset({"=", "with", "[", "(", ":", "if", "on", "depends", "@"})
_HEADER_ONLY = frozenset({"=", "with", "depends", "@"})  # the keys among them that no expression goes on with
_LINKS = frozenset(
    ("in", "is", "and", "or", "not", "like", "between", "escape", "as", "over", "asc", "desc", "nulls", "when", "then")
    + ("else",)
)
_BODY_KEYS = frozenset({"from", "merge"})  # behind a name whose ``=`` was forgotten


class _Header:
    """The parts of a header, in any order; of some only one may stand there."""

    def __init__(self) -> None:
        self.params: tuple[Param, ...] = ()
        self.configs: list[Config] = []
        self.depends: list[Name] = []
        self.version: int | None = None
        self.trigger: TriggerExpr | None = None
        self.connector: Name | None = None
        self.places: dict[str, Span] = {}


class FlowParser(HandlerParser):
    """Definitions of flows and what stands in them."""

    _lost: tuple[Name, ...] = ()  # the stages of this flow that could not be read

    def _flow(self) -> FlowDef:
        """``"flow" NAME { version | params | flow_after | config } "=" "{" { flow_item } "}"``"""
        start = self._expect("flow").start
        name = self._any_name("a flow's name")
        header = self._header(of_flow=True)
        if not self._accept("="):
            self._report(mistakes.unexpected(self._token, self._span_of(self._token), "`=`"))
        opened, found_before = self._expect("{"), len(self.found)
        self._in_flow, self._lost = True, ()
        try:
            items = self._sequence(
                self._flow_item,
                starts=self._at_flow_item,
                closer="}",
                expected="an operator, a stage or `}`",
                known=(*ITEM_WORDS, *OPERATORS),
            )
        finally:
            self._in_flow, self._searched = False, range(0)
        if not self._accept("}") and not self._runs_out:
            self._report(mistakes.unclosed_brace(self._span_of(opened)))
        return FlowDef(
            name=name,
            items=items,
            params=header.params,
            configs=tuple(header.configs),
            version=header.version,
            depends=tuple(header.depends),
            trigger=header.trigger,
            broken=self._runs_out or len(self.found) > found_before,
            lost=self._lost,
            span=self._since(start),
        )

    # --- headers ----------------------------------------------------------------------------------------------------

    def _header(self, *, of_flow: bool) -> _Header:
        """What stands between a name and its ``=``, in any order; a broken part is left out."""
        header = _Header()
        while not self._at("=") and not (of_flow and self._at("{")):
            before, depth = self._index, self._depth
            try:
                self._header_part(header, of_flow=of_flow)
            except Broken:
                self._depth = depth
                self._skip(before - 1, lambda: self._at("=", "with", "depends") or (of_flow and self._at("{")), "*")
                if self._index == before:
                    break
        return header

    def _header_part(self, header: _Header, *, of_flow: bool) -> None:
        """One part of a header, added to it."""
        start, key = self._token.start, self._token.key
        if self._at_config():
            header.configs.append(self._config())
            key = CONFIG_FORMS[header.configs[-1].style]
        elif key == "(" and of_flow:
            header.params = self._params()
        elif key == "@" and of_flow:
            header.version = self._version()
        elif key == "depends":
            header.depends += self._depends()
        elif self._accept("if"):
            header.trigger = self._trigger()
        elif key == "on" and not of_flow:
            self._advance()
            header.connector = self._any_name("a connector")
        else:
            raise self._unexpected("`=`", ("with", "depends", "if", "on"))
        span = self._since(start)
        if (first := header.places.setdefault(key, span)) != span:
            self._report(mistakes.repeated_part(key, span, first))

    def _depends(self) -> tuple[Name, ...]:
        """``"depends" "on" NAME { "," NAME }``; every word is a name here."""
        self._advance()
        self._expect("on")
        names = [self._any_name()]
        while self._accept(","):
            names.append(self._any_name())
        if self._at(".", "and", "or"):
            raise self._broken(mistakes.end_behind_depends(self._token, self._span_of(self._token), names[-1].text))
        return tuple(names)

    def _trigger(self) -> TriggerExpr:
        """``trigger_and { "or" trigger_and }``"""
        self._deeper(4)
        found = self._junction("or", lambda: self._junction("and", self._trigger_unit))
        self._depth -= 4
        return found

    def _junction(self, word: Literal["and", "or"], operand: Callable[[], TriggerExpr]) -> TriggerExpr:
        """``operand { word operand }``"""
        start, operands = self._token.start, [operand()]
        while self._accept(word):
            operands.append(operand())
        if len(operands) == 1:
            return operands[0]
        return TriggerJunction(word=word, operands=tuple(operands), span=self._since(start))

    def _trigger_unit(self) -> TriggerExpr:
        """``"not" trigger_not | "(" trigger ")" | NAME "." STATE``"""
        start = self._token.start
        if self._at("not") and self._peek().key != ".":
            self._advance()
            self._deeper()
            operand = self._trigger_unit()
            self._depth -= 1
            return TriggerNot(operand=operand, span=self._since(start))
        if self._accept("("):
            inner = self._trigger()
            self._expect(")")
            return inner
        name = self._any_name("a stage's state such as `extract.failed`")
        if not self._accept("."):
            raise self._broken(mistakes.no_end(self._token, self._span_of(self._token), name.text))
        state = self._state_name()
        return StateOf(name=name, state=state, span=self._since(start))

    def _state_name(self) -> str:
        """``STATE``"""
        word = self._token
        self._any_name("a state such as `failed`")
        if word.key not in STATES:
            self._report(mistakes.unknown_state(word.value, self._span_of(word), STATES))
        return word.key

    # --- items ------------------------------------------------------------------------------------------------------

    def _at_flow_item(self) -> bool:
        """A word of an item before its name, or before what follows a forgotten one; a misplaced definition."""
        after = self._peek()
        if self._token.key in ITEM_WORDS:
            return after.is_word or after.key == "=" or after.kind is T.STRING
        return self._in_flow and self._token.key in ("model", "val") and after.is_word

    def _starts_item(self, ahead: int) -> bool:
        """A word of an item or definition, a name, and what may follow it in a header."""
        words = ITEM_WORDS if self._in_flow else DEFINITION_WORDS
        return self._peek(ahead).key in words and self._at_header(ahead + 1, _HEADER_KEYS)

    def _at_header(self, ahead: int, keys: frozenset[str]) -> bool:
        """A name, and what may follow it in a header; ``state in (1, 2)`` and the like are expressions."""
        name, after = self._peek(ahead), self._peek(ahead + 1).key
        return name.is_word and after in (_HEADER_ONLY if name.key in _LINKS else keys)

    def _flow_item(self) -> FlowItem:
        """``stage_def | state_def | signal_def | query_def | update_def``"""
        if self._at("stage"):
            return self._stage()
        if self._token.key in ITEM_WORDS:
            return self._handler()
        self._resumed = -1  # a finding of its own, even right behind another
        raise self._broken(mistakes.misplaced_definition(self._token.key, self._span_of(self._token)))

    def _stage(self) -> StageDef:
        """``"stage" NAME { "on" NAME | "if" trigger | "depends" "on" list(NAME) | config } "=" body``"""
        start = self._expect("stage").start
        name = self._any_name("a stage's name")
        try:
            header = self._header(of_flow=False)
            self._expect("=")
            body = self._body()
        except Broken:
            self._lost += (name,)
            raise
        return StageDef(
            name=name,
            body=body,
            configs=tuple(header.configs),
            depends=tuple(header.depends),
            trigger=header.trigger,
            connector=header.connector,
            span=self._since(start),
        )

    def _body(self) -> Query:
        """``input { operator }``; ``merge``, ``call`` and ``wait`` are inputs only here, right after ``=``."""
        start = self._token.start
        waits = self._flow_operator() if self._at("wait") else None
        source = None if waits or (self._in_fork and self._at_operator()) else self._stage_input()
        operators = (waits, *self._operators()) if waits else self._operators()
        for operator, after in pairwise(operators):
            if stands_last(operator):
                self._report(mistakes.behind_last(operator.span, after.span))
        return Query(input=source, operators=operators, span=self._since(start))

    def _stage_input(self) -> Input:
        """``merge | "call" call | query start``"""
        start = self._token.start
        if self._at("merge"):
            return self._merge()
        if self._accept("call"):
            found = self._invocation("a function or activity")
            return CallInput(call=found.call, version=found.version, span=self._since(start))
        return self._input()

    def _activity(self) -> ActivityDef:
        """``"activity" NAME [params] [":" type] [config] ["=" call]``"""
        start = self._expect("activity").start
        name = self._any_name("an activity's name")
        params = self._params() if self._at("(") else ()
        result = self._type() if self._accept(":") else None
        configs = self._configs()
        implementation = self._call() if self._accept("=") else None
        return ActivityDef(
            name=name,
            params=params,
            result=result,
            configs=configs,
            implementation=implementation,
            span=self._since(start),
        )

    # --- recovery ---------------------------------------------------------------------------------------------------

    def _starts_anew(self, ahead: int = 0) -> bool:
        """A stage's or flow's header inside brackets means that a bracket is missing."""
        words = ("stage", "flow", "activity") if self._in_flow else DEFINITION_WORDS
        keys = _HEADER_KEYS | _BODY_KEYS if self._in_flow else _HEADER_KEYS
        return self._peek(ahead).key in words and self._at_header(ahead + 1, keys)

    def _at_statement(self) -> bool:
        """Whether a statement begins here. Inside a flow none does but the header of another flow."""
        if self._in_flow:
            return self._starts_anew() and not self._at("stage")
        key, after = self._token.key, self._peek()
        if key in _NAMED_STATEMENTS:
            return after.is_word or (key == "flow" and after.key == "=")
        if key == "with":
            return after.is_word
        return key in STATEMENT_WORDS
