"""Secrets: read from the environment when a task starts, kept out of everything that is recorded."""

from __future__ import annotations

import os

from wvflow.errors import TaskError

HIDDEN = "********"


class Secrets:
    """Gives out secrets and takes those given out away from texts."""

    def __init__(self) -> None:
        self._given: dict[str, None] = {}

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
            self._given[value] = None
        return value

    def redact(self, text: str) -> str:
        for value in tuple(self._given):
            text = text.replace(value, HIDDEN)
        return text
