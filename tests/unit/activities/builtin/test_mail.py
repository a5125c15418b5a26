"""``email(…)`` to a real SMTP server, and what becomes of mails that it refuses."""

from __future__ import annotations

import csv
import io
import json
import socket
import ssl
import threading
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest

from wvflow.activities.builtin.mail import read_server
from wvflow.activities.settings import Settings
from wvflow.errors import TaskError
from wvflow.ports.stop import StopToken

EMAIL, SINK = "builtin.email", "sink.email"
ROWS = [{"id": 1, "price": Decimal("9.50"), "name": "Ada"}, {"id": 2, "price": None, "name": 'Bo, "B"'}]


@pytest.fixture
def settings(mailbox: Any) -> Settings:
    return Settings(mail_server=mailbox.url, mail_from="Flows <flows@example.com>")


def body(mail: Any) -> str:
    text: str = mail.get_body(("plain",)).get_content()
    return text.replace("\r\n", "\n").rstrip("\n")


@pytest.mark.parametrize("key", [EMAIL, SINK])
def test_a_mail_arrives(mailbox: Any, settings: Settings, use: Any, key: str) -> None:
    given = {"to": "Ada <ada@example.com>, b@example.com", "cc": ["c@example.com"], "bcc": "d@example.com"}
    assert use(key, None, settings, **given, subject="Größe", body="hello\n.\nbye", reply_to="r@example.com") is None
    (mail,) = mailbox.mails
    assert mailbox.recipients == [["ada@example.com", "b@example.com", "c@example.com", "d@example.com"]]
    assert (mail["From"], mail["To"], mail["Cc"]) == ("Flows <flows@example.com>", given["to"], "c@example.com")
    assert (mail["Subject"], mail["Reply-To"], mail["Bcc"]) == ("Größe", "r@example.com", None)
    assert body(mail) == "hello\n.\nbye"


def test_rows_stand_in_the_mail_if_no_text_is_given(mailbox: Any, settings: Settings, use: Any) -> None:
    use(EMAIL, ROWS, settings, to="a@example.com")
    assert body(mailbox.mails[0]) == 'id  price  name\n1   9.50   Ada\n2          Bo, "B"'
    assert mailbox.mails[0]["Subject"] == "F: s"
    use(EMAIL, [{"n": n} for n in range(60)], settings, to="a@example.com")
    assert body(mailbox.mails[1]).endswith("\n49\n\n… and 10 more rows")


def test_rows_are_attached(mailbox: Any, settings: Settings, use: Any) -> None:
    for form in ("csv", "json", "parquet"):
        use(EMAIL, ROWS, settings, to="a@example.com", body="see there", attach=form)
    first, second, third = [next(mail.iter_attachments()) for mail in mailbox.mails]
    assert [one.get_filename() for one in (first, second, third)] == ["rows.csv", "rows.json", "rows.parquet"]
    assert list(csv.reader(io.StringIO(first.get_content()))) == [
        ["id", "price", "name"],
        ["1", "9.50", "Ada"],
        ["2", "", 'Bo, "B"'],
    ]
    assert json.loads(second.get_content()) == [
        {"id": 1, "price": 9.5, "name": "Ada"},
        {"id": 2, "price": None, "name": 'Bo, "B"'},
    ]
    assert pq.read_table(io.BytesIO(third.get_content())).to_pylist() == ROWS


def test_all_attempts_send_the_same_mail(mailbox: Any, settings: Settings, use: Any) -> None:
    use(EMAIL, None, settings, to="a@example.com", call_attempt=1)
    use(EMAIL, None, settings, to="a@example.com", call_attempt=2)
    use(EMAIL, None, settings, to="a@example.com", call_task_key="another")
    first, again, other = [mail["Message-ID"] for mail in mailbox.mails]
    assert first == again != other


@pytest.mark.parametrize(
    ("said", "retryable"), [("550 no such user", False), ("450 try later", True), ("451 greylisted", True)]
)
def test_a_refused_mail_goes_to_nobody(
    mailbox: Any, settings: Settings, failure: Any, said: str, retryable: bool
) -> None:
    mailbox.refuse = {"b@example.com": said}
    error = failure(EMAIL, None, settings, to="a@example.com, b@example.com")
    assert (error.kind, error.retryable) == ("MailRefused", retryable)
    assert error.message == f"the mail server refused the recipient b@example.com: {said}"
    assert mailbox.mails == []


def test_a_password_is_shown_to_the_server_and_to_nobody_else(mailbox: Any, use: Any, failure: Any) -> None:
    for password, accepted in (("p%40ss", True), ("wrong", False)):
        url = mailbox.url.replace("://", f"://flows:{password}@")
        settings = Settings(mail_server=url, mail_from="flows@example.com")
        if accepted:
            use(EMAIL, None, settings, to="a@example.com")
        else:
            error = failure(EMAIL, None, settings, to="a@example.com")
            assert (error.kind, error.retryable) == ("MailRefused", False)
            assert password not in error.message
    assert len(mailbox.mails) == 1


def test_no_password_is_sent_in_the_clear_to_another_machine(
    mailbox: Any, failure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wvflow.activities.builtin.mail.Server.is_here", False)
    url = mailbox.url.replace("://", "://flows:p%40ss@")
    settings = Settings(mail_server=url, mail_from="flows@example.com")
    assert "in the clear" in failure(EMAIL, None, settings, to="a@example.com").message


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("mail.example.com", ("mail.example.com", 25, "offered", "", "")),
        ("localhost:2525", ("localhost", 2525, "offered", "", "")),
        ("smtp://u:p@h", ("h", 587, "offered", "u", "p")),
        ("smtp://u:p@h?tls=no", ("h", 587, "no", "u", "p")),
        ("smtps://u%40x:p%2Fq@h", ("h", 465, "start", "u@x", "p/q")),
        ("smtps://h:1465", ("h", 1465, "start", "", "")),
    ],
)
def test_an_address_says_how_to_speak_to_the_server(address: str, server: tuple[Any, ...]) -> None:
    assert tuple(read_server(address)) == server


@pytest.mark.parametrize(
    ("host", "is_here"), [("localhost", True), ("127.0.0.9", True), ("[::1]", True), ("10.0.0.1", False), ("h", False)]
)
def test_whether_a_server_is_on_this_machine(host: str, is_here: bool) -> None:
    assert read_server(f"smtp://{host}").is_here == is_here


@pytest.mark.parametrize("address", ["http://h", "smtp://", "smtp://h:port", "smtp://h?tls=maybe", "smtps://u:p@"])
def test_what_is_no_address_of_a_server_is_told_without_it(address: str) -> None:
    with pytest.raises(TaskError, match=r"`email\.server` in wvflow\.toml is no address") as caught:
        read_server(address)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "given",
    [{"to": ""}, {"to": "nobody"}, {"to": []}, {"to": "ä@example.com"}, {"to": "a@b.c", "subject": "x\nBcc: y@z"}],
    ids=str,
)
def test_a_mail_that_can_not_be_written_is_not_tried_again(settings: Settings, failure: Any, given: Any) -> None:
    error = failure(EMAIL, None, settings, **given)
    assert (error.kind, error.retryable) == ("WrongArgument", False)


def test_a_mail_needs_a_sender(mailbox: Any, failure: Any) -> None:
    error = failure(EMAIL, None, Settings(mail_server=mailbox.url), to="a@example.com")
    assert (error.kind, error.message) == ("WrongArgument", "`email.from` is not set in wvflow.toml")


def test_a_server_that_is_away_is_tried_again(failure: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = Settings(mail_server=f"smtp://u:secret@127.0.0.1:{port}", mail_from="a@example.com")
    error = failure(EMAIL, None, settings, to="a@example.com")
    assert (error.kind, error.retryable) == ("ConnectionError", True)
    assert error.message == f"the mail server 127.0.0.1:{port}: Connection refused"


def test_a_stop_ends_the_wait_for_the_server(failure: Any, stop: StopToken) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet_and_hang() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 hello\r\n")
                connection.recv(100)
                stop.request()
                connection.recv(100)

        server = threading.Thread(target=greet_and_hang)
        server.start()
        settings = Settings(mail_server=f"smtp://127.0.0.1:{listener.getsockname()[1]}", mail_from="a@example.com")
        assert failure(EMAIL, None, settings, to="a@example.com").kind == "ConnectionError"
        server.join()


def test_without_a_server_a_mail_is_logged_with_a_warning(use: Any, failure: Any, logged: list[Any]) -> None:
    use(EMAIL, [{"n": 1}], Settings(), to="a@example.com")
    assert logged == [
        ("warning", "a mail to a@example.com is only logged: no `email.server` in wvflow.toml"),
        ("info", '{"n":1}'),
    ]
    error = failure(EMAIL, [{"n": 1}], Settings(strict_sinks=True), to="a@example.com")
    assert (error.kind, error.retryable) == ("NotDelivered", False)


def test_tls_is_used_where_the_server_offers_it(use: Any, failure: Any, tmp_path: Any) -> None:
    """A certificate that nobody vouches for is refused, so TLS was begun."""
    from aiosmtpd.controller import Controller

    certificate = self_signed(tmp_path)
    for tls, kind in (("", "MailRefused"), ("?tls=no", None)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = Controller(None, hostname="127.0.0.1", port=port, tls_context=context)
        server.handler = type("Handler", (), {})()
        server.start()
        try:
            settings = Settings(mail_server=f"smtp://127.0.0.1:{port}{tls}", mail_from="a@example.com")
            if kind is None:
                use(EMAIL, None, settings, to="a@example.com")
            else:
                error = failure(EMAIL, None, settings, to="a@example.com")
                assert (error.kind, "CERTIFICATE_VERIFY_FAILED" in error.message) == (kind, True)
        finally:
            server.stop()


def self_signed(folder: Any) -> Any:
    import shutil
    import subprocess

    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate")
    file = folder / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", file, "-out", folder / "cert.pem"], check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "cert.pem").read_text())
    return file
