"""What several suites share: asserts of the contract suites that explain themselves, trees as text, and servers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import hypothesis
import pytest

from wvflow.syntax.nodes import (
    BinaryExpr,
    BooleanLiteral,
    Dot,
    DurationLiteral,
    Name,
    NameRef,
    NullLiteral,
    NumberLiteral,
    Paren,
    StringLiteral,
    SyntaxNode,
    TypeName,
    UnaryExpr,
    Underscore,
)

# How long an example takes, or is drawn, depends on the machine.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
pytest_plugins = ["postgres"]
pytest.register_assert_rewrite("wvflow.testing")  # they live with the code, and pytest must be told of them

_KINDS = {"int": "", "decimal": "", "exp": "", "float": "f", "double": "d"}


def _dump(value: object) -> str:
    """``(Class part …)`` with parts left out that have their default; names, literals and operators bare."""
    match value:
        case tuple():
            return f"[{' '.join(map(_dump, value))}]"
        case Name():
            return f"`{value.text}`" if value.quoted else value.text
        case NameRef():
            return _dump(value.name)
        case NumberLiteral():
            return value.text + _KINDS[value.kind]
        case StringLiteral():
            return repr(value.value)
        case DurationLiteral():
            return f"{value.ms}ms"
        case NullLiteral():
            return "null"
        case BooleanLiteral():
            return str(value.value).lower()
        case Underscore():
            return "_"
        case TypeName():
            return value.name + (_dump(value.args) if value.args else "")
        case BinaryExpr():
            return f"({value.op} {_dump(value.left)} {_dump(value.right)})"
        case UnaryExpr():
            return f"({value.op} {_dump(value.operand)})"
        case Dot():
            return f"{_dump(value.operand)}.{_dump(value.name)}"
        case Paren():
            return f"({_dump(value.inner)})"
        case SyntaxNode():
            return _dump_node(value)
        case str() | int() | None:
            return repr(value)
    raise TypeError(value)


def _dump_node(node: SyntaxNode) -> str:
    required = len(node.__struct_fields__) - len(node.__struct_defaults__)
    parts = [type(node).__name__]
    for position, field in enumerate(node.__struct_fields__):
        part = getattr(node, field)
        if field == "span":
            continue
        if position < required:
            parts.append(_dump(part))
        elif part is True:
            parts.append(field)
        elif part not in (False, None, (), ""):
            parts.append(f"{field}={_dump(part)}")
    return f"({' '.join(parts)})"


@pytest.fixture(scope="session")
def dump() -> Callable[[object], str]:
    """A node, or a tuple of nodes, as text."""
    return _dump


# --- a web and a mail server ----------------------------------------------------------------------------------------


class Received(NamedTuple):
    """A request that the web server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """A web server that gives the answers it was told to, in their order; the last one again and again.

    An answer is a status, a body (its JSON, or bytes as they are) and headers; ``hang`` for none at all.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[tuple[int, Any, dict[str, str]]] = [(200, None, {})]
        self.hung = threading.Semaphore(0)
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, *answers: int | tuple[int, Any] | tuple[int, Any, dict[str, str]]) -> None:
        whole = [one if isinstance(one, tuple) else (one,) for one in answers]
        self.answers = [(*one, *(None, {})[len(one) - 1 :]) for one in whole]  # type: ignore[misc]  # filled up to three

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(web) -> type[BaseHTTPRequestHandler]:  # noqa: N805  (the inner `self` is the handler)
        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                web.received.append(Received(self.command, self.path, dict(self.headers), body))
                status, content, headers = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
                if content is HANG:
                    web.hung.release()
                    web.over.wait()
                    return
                self._give(status, content, headers)

            def _give(self, status: int, content: Any, headers: dict[str, str]) -> None:
                raw = (
                    content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
                )
                self.send_response(status)
                kind = {} if content is None or isinstance(content, bytes) else {"Content-Type": "application/json"}
                for name, value in {**kind, **headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


HANG = object()


@pytest.fixture
def hang() -> object:
    """The content of an answer that never comes."""
    return HANG


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


class Mailbox:
    """A mail server. ``refuse``: what it answers to a recipient instead of taking him."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802  (named by aiosmtpd)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=email_policy)
        self.mails.append(message)
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Any]:
    """A mail server; ``url`` is its address. It knows one user, ``flows`` with the password ``p@ss``."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: Any, given: Any) -> AuthResult:
        return AuthResult(success=(given.login, given.password) == (b"flows", b"p@ss"), handled=False)

    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        authenticator=authenticate,
        auth_require_tls=False,
        auth_exclude_mechanism=[],
    )
    server.start()
    box.url = f"smtp://127.0.0.1:{port}"  # type: ignore[attr-defined]
    yield box
    server.stop()
