"""Secrets: read from the environment when a task starts, kept out of everything that is recorded."""

from __future__ import annotations

import json
import os
import threading
from urllib.parse import quote, quote_plus

from wvflow.errors import TaskError

HIDDEN = "********"


class Secrets:
    """Gives out secrets and takes those given out away from texts, also as Python, JSON and web addresses have them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hidden: tuple[str, ...] = ()

    def get(self, name: str) -> str:
        value = os.environ.get(name)
        if value is None:
            raise TaskError(
                "SecretMissing",
                f"the secret `{name}` is not set",
                help=f"set the environment variable {name}, then resume the run",
                retryable=False,
            )
        if value:
            self._hide(value)
        return value

    def _hide(self, value: str) -> None:
        forms = {
            *(value, repr(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value)),
            *(json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]),
        }
        # The longest first: one secret may begin with another.
        with self._lock:
            self._hidden = tuple(sorted({*self._hidden, *forms}, key=lambda text: (-len(text), text)))

    def redact(self, text: str) -> str:
        for value in self._hidden:
            text = text.replace(value, HIDDEN)
        return text

    def redact_all(self, value: object) -> object:
        """A JSON value without secrets in its texts."""
        match value:
            case str():
                return self.redact(value)
            case list():
                return [self.redact_all(item) for item in value]
            case dict():
                return {self.redact(key): self.redact_all(item) for key, item in value.items()}
            case _:
                return value
