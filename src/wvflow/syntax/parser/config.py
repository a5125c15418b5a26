"""Configuration and parameters: ``with { … }``, ``[ … ]`` and ``(name: type = default)``. Flow language, section 1."""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.syntax import mistakes
from wvflow.syntax.nodes import (
    CallExpr,
    Config,
    ConfigItem,
    ConfigList,
    ConfigValue,
    Name,
    NameRef,
    NullLiteral,
    Param,
)
from wvflow.syntax.parser.query import QueryParser
from wvflow.syntax.parser.recovery import Broken
from wvflow.syntax.parser.scalar import QUERY_STARTS
from wvflow.syntax.tokens import T

UNITS = ("ms", "s", "m", "h", "d", "w")
CONSTANTS = ("true", "false", "null")
CONFIG_FORMS = {"block": "with", "inline": "[…]"}


class ConfigParser(QueryParser):
    """What headers hold besides names."""

    def _at_config(self) -> bool:
        return self._at("[") or (self._at("with") and self._peek().key == "{")

    def _configs(self) -> tuple[Config, ...]:
        """``[config]``, one of each form at most."""
        configs: dict[str, Config] = {}
        while self._at_config():
            config = self._config()
            first = configs.setdefault(config.style, config)
            if first is not config:
                self._report(mistakes.repeated_part(CONFIG_FORMS[config.style], config.span, first.span))
        return tuple(configs.values())

    def _config(self) -> Config:
        """``"with" "{" items "}" | "[" items "]"``"""
        start = self._token.start
        if self._accept("["):
            return self._with_durations(lambda: self._config_items("]", "inline", start))
        self._expect("with")
        self._expect("{")
        return self._with_durations(lambda: self._config_items("}", "block", start))

    def _config_items(self, closer: str, style: str, start: int) -> Config:
        """``{ NAME ":" value [ "," | ";" ] } closer``"""
        self._deeper(2)
        opened = self._end - 1
        items = self._sequence(
            self._config_item, starts=self._at_key, closer=closer, expected=f"a property `name: value` or `{closer}`"
        )
        self._close(closer, opened)
        self._depth -= 2
        if style == "block":
            return Config(items=items, style="block", span=self._since(start))
        return Config(items=items, style="inline" if style == "inline" else "nested", span=self._since(start))

    def _at_key(self) -> bool:
        return self._token.is_word and self._peek().key == ":"

    def _config_item(self) -> ConfigItem:
        """``NAME ":" value``"""
        key = self._take_name()
        self._expect(":")
        start = self._token
        value = self._config_value()
        if self._token.key in UNITS and start.kind is T.INT and start.end == self._end and not self._is_key(0):
            unit = self._advance()
            raise self._broken(mistakes.blank_in_duration(start.value + unit.key, self._since(start.start)))
        if start.start in self._malformed:
            raise Broken  # told already; its type would be told again
        span = self._since(key.span.start)
        self._accept(",")
        return ConfigItem(key=key, value=value, span=span)

    def _config_value(self) -> ConfigValue:
        """``DURATION | invocation | expr | bare word | "{" items "}" | "[" [list(value)] "]"``"""
        start = self._token.start
        if self._token.is_word and self._peek().key == "@":
            found = self._invocation("a flow")
            return replace(found.call, version=found.version, span=self._since(start))
        if self._at_bare_word():
            name = self._take_name()
            return NameRef(name=name, span=name.span)
        if self._at("{") and not self._at_braced_query():
            self._advance()
            return self._config_items("}", "nested", start)
        if self._accept("["):
            values = self._list_until("]", self._config_value)
            return ConfigList(items=values, span=self._since(start))
        value = self._expr()
        if isinstance(value, CallExpr) and value.receiver is None and self._at("@"):
            return replace(value, version=self._version(), span=self._since(start))
        return value

    def _at_bare_word(self) -> bool:
        """Whether a word, reserved or not, is all of the value; `true`, `false` and `null` are what they always are."""
        after = self._peek()
        if not self._token.is_word or self._token.key in CONSTANTS:
            return False
        return after.key in (",", ";", "}", "]", ")") or after.kind is T.END or self._is_key(1)

    def _is_key(self, ahead: int) -> bool:
        return self._peek(ahead).is_word and self._peek(ahead + 1).key == ":"

    def _at_braced_query(self) -> bool:
        return self._peek().key in QUERY_STARTS and self._peek(2).key != ":"

    # --- parameters -------------------------------------------------------------------------------------------------

    def _params(self, *, variadic: bool = False) -> tuple[Param, ...]:
        """``"(" [list(param)] ")"``"""
        self._expect("(")
        return self._list_until(")", lambda: self._param(variadic=variadic))

    def _param(self, *, variadic: bool) -> Param:
        """``NAME [":" type ["*"]] ["=" expr]``. Of one whose type or default can't be read the name stays, so that its
        uses mean something, with a default, so that nobody misses it."""
        name, named = self._any_name("a parameter"), self._index
        try:
            return self._param_of(name, variadic=variadic)
        except Broken:
            self._skip(named, lambda: self._at(","), ")")
            span = self._since(name.span.start)
            return Param(name=name, default=NullLiteral(span=span), span=span)

    def _param_of(self, name: Name, *, variadic: bool) -> Param:
        """What follows a parameter's name; a default is a duration where the type is."""
        declared = self._type() if self._accept(":") else None
        takes_rest = self._at("*")
        if takes_rest:
            star = self._span_of(self._advance())
            if not variadic:
                self._report(mistakes.not_available("*", star))
        default = None
        if self._accept("="):
            is_duration = declared is not None and declared.name == "duration"
            default = self._with_durations(self._expr) if is_duration else self._expr()
        if not self._at(",", ")"):
            raise self._unexpected("`,` or `)`")
        return Param(name=name, type=declared, default=default, variadic=takes_rest, span=self._since(name.span.start))
