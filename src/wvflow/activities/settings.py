"""What built-in activities and sinks must know of the project."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``mail_server``: an address such as ``smtps://user:password@host``; ``mail_from``: the sender of mails.
    ``strict_sinks``: what can't be delivered fails, instead of being logged."""

    mail_server: str = ""
    mail_from: str = ""
    strict_sinks: bool = False
