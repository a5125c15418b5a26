"""Items of a flow that the language has and this version does not run: state, signals, queries, updates."""

from __future__ import annotations

from wvflow.syntax.nodes import Unavailable
from wvflow.syntax.parser.config import ConfigParser
from wvflow.syntax.parser.scalar import QUERY_STARTS


class HandlerParser(ConfigParser):
    """Reads them to their exact end, as ``Unavailable``."""

    def _handler(self) -> Unavailable:
        """``state_def | signal_def | query_def | update_def``"""
        word = self._advance()
        self._any_name(f"the name of a {word.key}")
        match word.key:
            case "state":
                self._state()
            case "signal":
                self._signal()
            case "query":
                self._flow_query()
            case _:
                self._update()
        return Unavailable(what=word.key, span=self._since(word.start))

    def _state(self) -> None:
        """``"state" NAME [":" type] "=" expr``"""
        if self._accept(":"):
            self._type()
        self._expect("=")
        self._with_durations(self._expr)

    def _signal(self) -> None:
        """``"signal" NAME [params] ["=" action { "," action }]``"""
        self._optional_params()
        if self._accept("="):
            self._comma_list(self._call)

    def _flow_query(self) -> None:
        """``"query" NAME [params] "=" ( query | expr )``"""
        self._optional_params()
        self._expect("=")
        if self._at(*QUERY_STARTS) or (self._at("{") and self._at_braced_query()):
            self._query()
        else:
            self._expr()

    def _update(self) -> None:
        """``"update" NAME [params] "=" action { "," action } ["where" expr]``"""
        self._optional_params()
        self._expect("=")
        self._comma_list(self._call)
        if self._accept("where"):
            self._expr()

    def _optional_params(self) -> None:
        if self._at("("):
            self._params()
