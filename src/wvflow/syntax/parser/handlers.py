"""Items of a flow that people talk to: state, signals, queries, updates."""

from __future__ import annotations

from wvflow.syntax.nodes import CallExpr, Param, QueryDef, SignalDef, StateDef, UpdateDef
from wvflow.syntax.parser.config import ConfigParser
from wvflow.syntax.parser.scalar import QUERY_STARTS


class HandlerParser(ConfigParser):
    """Reads them to their exact end."""

    def _handler(self) -> StateDef | SignalDef | QueryDef | UpdateDef:
        """``state_def | signal_def | query_def | update_def``"""
        match self._token.key:
            case "state":
                return self._state()
            case "signal":
                return self._signal()
            case "query":
                return self._flow_query()
            case _:
                return self._update()

    def _state(self) -> StateDef:
        """``"state" NAME [":" type] "=" expr``"""
        start = self._advance().start
        name = self._any_name("the name of a state")
        type_ = self._type() if self._accept(":") else None
        self._expect("=")
        value = self._with_durations(self._expr)
        variable = Param(name=name, type=type_, default=value, span=name.span.to(value.span))
        return StateDef(variable=variable, span=self._since(start))

    def _signal(self) -> SignalDef:
        """``"signal" NAME [params] ["=" action { "," action }]``"""
        start = self._advance().start
        name, params = self._any_name("the name of a signal"), self._optional_params()
        actions = self._actions() if self._accept("=") else ()
        return SignalDef(name=name, params=params, actions=actions, span=self._since(start))

    def _flow_query(self) -> QueryDef:
        """``"query" NAME [params] "=" ( query | expr )``; it is a query when one's first word follows."""
        start = self._advance().start
        name, params = self._any_name("the name of a query"), self._optional_params()
        self._expect("=")
        is_query = self._at(*QUERY_STARTS) or (self._at("{") and self._at_braced_query())
        answer = self._query() if is_query else self._with_durations(self._expr)
        return QueryDef(name=name, params=params, answer=answer, span=self._since(start))

    def _update(self) -> UpdateDef:
        """``"update" NAME [params] "=" action { "," action } ["where" expr]``"""
        start = self._advance().start
        name, params = self._any_name("the name of an update"), self._optional_params()
        self._expect("=")
        actions = self._actions()
        condition = self._expr() if self._accept("where") else None
        return UpdateDef(name=name, params=params, actions=actions, condition=condition, span=self._since(start))

    def _actions(self) -> tuple[CallExpr, ...]:
        """``action { "," action }``"""
        return tuple(self._comma_list(self._call))

    def _optional_params(self) -> tuple[Param, ...]:
        return self._params() if self._at("(") else ()
