"""``email(…)``: one mail by SMTP, to all of its recipients or to none.

The server's address says how: ``smtps://user:password@host`` speaks TLS from the start, ``smtp://`` once the server
offers it (STARTTLS). A password is never sent in the clear to another machine, but for ``?tls=no``.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import formatdate, getaddresses
from hashlib import sha256
from ipaddress import ip_address
from logging import INFO
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from wvflow.activities.arguments import wrong_argument
from wvflow.activities.builtin.log import log_rows
from wvflow.activities.builtin.plain import plain, text_table, to_json
from wvflow.activities.builtin.undelivered import undelivered
from wvflow.activities.context import ActivityContext
from wvflow.activities.settings import Settings
from wvflow.errors import TaskError

if TYPE_CHECKING:
    from smtplib import SMTP

    import pyarrow as pa

ANSWER_S = 60.0
SHOWN_ROWS = 50
Attach = Literal["csv", "json", "parquet"]
People = str | list[str]


class Mail(NamedTuple):
    sender: str
    recipients: tuple[str, ...]
    content: bytes


def mailer(settings: Settings) -> Callable[..., None]:
    """The activity of a project with these settings."""

    def email(
        rows: pa.Table | None = None,
        *,
        to: People,
        subject: str | None = None,
        body: str | None = None,
        cc: People | None = None,
        bcc: People | None = None,
        reply_to: str | None = None,
        attach: Attach | None = None,
        ctx: ActivityContext,
    ) -> None:
        """Send it. Without a body the rows stand in it; ``attach`` has all of them as a file."""
        recipients = _addresses(to, cc, bcc)
        if not settings.mail_server:
            undelivered(f"a mail to {', '.join(recipients)}", "no `email.server` in wvflow.toml", settings, ctx)
            if rows is not None:
                log_rows(rows.to_reader(), ctx, INFO)
            return
        headers = {"To": to, "Cc": cc, "Reply-To": reply_to, "Subject": subject or f"{ctx.flow}: {ctx.stage}"}
        message = _message(settings.mail_from, headers, _text(rows, body), ctx)
        if attach is not None and rows is not None:
            _attach(message, rows, attach)
        server = read_server(settings.mail_server)
        deliver(server, Mail(_sender(settings), recipients, message.as_bytes(policy=WIRE)), ctx)

    return email


# --- what is sent ---------------------------------------------------------------------------------------------------


def _addresses(*given: People | None) -> tuple[str, ...]:
    several = [one for people in given if people for one in ([people] if isinstance(people, str) else people)]
    found = tuple(dict.fromkeys(address for _, address in getaddresses(several)))
    if not found or not all(address.isascii() and address.count("@") == 1 for address in found):
        raise wrong_argument(f"{', '.join(several) or 'nobody'}: no addresses that a mail could go to")
    return found


def _sender(settings: Settings) -> str:
    if not settings.mail_from:
        raise wrong_argument("`email.from` is not set in wvflow.toml", 'add it: `from = "Flows <flows@example.com>"`')
    (address,) = _addresses(settings.mail_from)[:1]
    return address


def _message(sender: str, headers: dict[str, Any], text: str, ctx: ActivityContext) -> EmailMessage:
    """Every attempt's is the same but for the date, and has one id: so it can be told that they are one."""
    message = EmailMessage()
    try:
        message["From"] = sender
        for name, value in headers.items():
            if value:
                message[name] = ", ".join(value) if isinstance(value, list) else value
    except ValueError as error:
        raise wrong_argument(f"this can't stand in a mail's header: {error}") from None
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{sha256(ctx.task_key.encode()).hexdigest()[:32]}@wvflow>"
    message.set_content(text)
    return message


def _text(rows: pa.Table | None, body: str | None) -> str:
    if body is not None or rows is None:
        return body or ""
    shown = text_table(rows.column_names, rows.slice(0, SHOWN_ROWS).to_pylist())
    more = rows.num_rows - SHOWN_ROWS
    return f"{shown}\n\n… and {more:,} more rows\n" if more > 0 else f"{shown}\n"


def _attach(message: EmailMessage, rows: pa.Table, form: Attach) -> None:
    match form:
        case "csv":
            message.add_attachment(_csv(rows), subtype="csv", filename="rows.csv")
        case "json":
            content = to_json(rows.to_pylist())
            message.add_attachment(content, maintype="application", subtype="json", filename="rows.json")
        case "parquet":
            import pyarrow.parquet as pq

            held = io.BytesIO()
            pq.write_table(rows, held)
            message.add_attachment(
                held.getvalue(), maintype="application", subtype="vnd.apache.parquet", filename="rows.parquet"
            )


def _csv(rows: pa.Table) -> str:
    import csv

    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in rows.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return held.getvalue()


def _cell(value: object) -> object:
    return to_json(value).decode() if isinstance(value, (list, dict)) else plain(value)


# --- how it is sent -------------------------------------------------------------------------------------------------


class Server(NamedTuple):
    """``tls``: from the start, once it is offered, or never."""

    host: str
    port: int
    tls: Literal["start", "offered", "no"]
    user: str = ""
    password: str = ""

    @property
    def is_here(self) -> bool:
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host == "localhost"


def read_server(address: str) -> Server:
    """A server by its address.

    Raises:
        TaskError: it is none.

    >>> read_server("smtp://me:p%40ss@mail.example.com")
    Server(host='mail.example.com', port=587, tls='offered', user='me', password='p@ss')
    """
    parts = urlsplit(address if "://" in address else f"smtp://{address}")
    tls = parse_qs(parts.query).get("tls", ["yes"])[-1]
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or tls not in ("yes", "no"):
        raise _no_server()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "smtps":
        return Server(parts.hostname, _port(parts) or 465, "start", user, password)
    port = _port(parts) or (587 if user else 25)
    return Server(parts.hostname, port, "no" if tls == "no" else "offered", user, password)


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise _no_server() from None


def _no_server() -> TaskError:
    return wrong_argument("`email.server` in wvflow.toml is no address of a mail server", "smtps://user:password@host")


def deliver(server: Server, mail: Mail, ctx: ActivityContext) -> None:
    """Hand the mail to the server.

    Raises:
        TaskError: ``MailRefused``, for good where the server says so; ``ConnectionError``: there was no answer.
    """
    with _told(server), _connected(server, ctx) as smtp:
        _accepted(*smtp.mail(mail.sender), f"the sender {mail.sender}")
        for recipient in mail.recipients:
            _accepted(*smtp.rcpt(recipient), f"the recipient {recipient}")
        _accepted(*smtp.data(mail.content), "the mail")


def _accepted(code: int, said: bytes, what: str) -> None:
    if code not in (250, 251):
        raise _refused(code, said, what)


def _refused(code: int, said: bytes | str, what: str) -> TaskError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return TaskError("MailRefused", f"the mail server refused {what}: {code} {text}", retryable=not 500 <= code < 600)


@contextmanager
def _connected(server: Server, ctx: ActivityContext) -> Iterator[SMTP]:
    from smtplib import SMTP, SMTP_SSL

    where, trust = (server.host, server.port), ssl.create_default_context()
    smtp = (
        SMTP_SSL(*where, timeout=ANSWER_S, context=trust) if server.tls == "start" else SMTP(*where, timeout=ANSWER_S)
    )
    undo = ctx.stop.on_request(lambda: _hang_up(smtp))
    try:
        smtp.ehlo()
        if server.tls == "offered" and smtp.has_extn("starttls"):
            smtp.starttls(context=trust)
            smtp.ehlo()
        elif server.tls == "offered" and server.user and not server.is_here:
            raise _in_the_clear(server)
        if server.user:
            smtp.login(server.user, server.password)
        yield smtp
        with suppress(OSError):
            smtp.quit()
    finally:
        undo()
        smtp.close()


def _in_the_clear(server: Server) -> TaskError:
    return TaskError(
        "MailRefused",
        f"the mail server {server.host} offers no TLS, and the password would be sent in the clear",
        retryable=False,
        help="use smtps://…, or allow it: `?tls=no` at the end of `email.server`",
    )


def _hang_up(smtp: SMTP) -> None:
    """From any thread: ends every wait for the server."""
    with suppress(OSError, AttributeError):
        if smtp.sock is not None:
            smtp.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def _told(server: Server) -> Iterator[None]:
    """What smtplib and the system raise, in our words."""
    import smtplib

    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error, "us") from None
    except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
        what = f"the mail server {server.host} can't be used: {error}"
        raise TaskError("MailRefused", what, retryable=False) from None
    except (OSError, smtplib.SMTPException) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise TaskError("ConnectionError", f"the mail server {server.host}:{server.port}: {said}") from None
