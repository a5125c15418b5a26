from __future__ import annotations

import json

import pytest

from wvflow.drivers.embedded.secrets import HIDDEN, Secrets


@pytest.mark.parametrize("text", ["{}", "ValueError({!r})", "{}{}"])
@pytest.mark.parametrize("value", ["s3cret", "two\nlines", 'with "quotes"', "schlüssel", 'it\'s "so"'])
def test_a_secret_is_hidden_as_it_is_and_as_it_is_quoted(
    monkeypatch: pytest.MonkeyPatch, value: str, text: str
) -> None:
    monkeypatch.setenv("KEY", value)
    secrets = Secrets()
    secrets.get("KEY")
    for told in (text.format(value, value), json.dumps({"key": value})):
        assert HIDDEN in secrets.redact(told)
        assert value not in secrets.redact(told)
        assert repr(value)[1:-1] not in secrets.redact(told)


def test_of_a_secret_that_begins_with_another_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets()
    for name, value in (("SHORT", "abc"), ("LONG", "abcdef")):
        monkeypatch.setenv(name, value)
        secrets.get(name)
    assert secrets.redact("abcdef, abc") == f"{HIDDEN}, {HIDDEN}"
