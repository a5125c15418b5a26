"""``http(…)`` and webhooks against a real server, and against one that isn't there."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from wvflow.activities.builtin.answers import read_answer
from wvflow.errors import TaskError
from wvflow.ports.stop import StopToken

HTTP, WEBHOOK = "builtin.http", "sink.webhook"


@pytest.mark.parametrize(
    ("kind", "content", "rows"),
    [
        ("application/json", b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ("application/json", b'[{"a": 1}, {"b": "x"}]', [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        ("application/json", b'{"a": [1, 2]}', [{"a": [1, 2]}]),
        ("application/problem+json; charset=utf-8", b'{"a": 1}', [{"a": 1}]),
        ("application/json", b"[1, 2]", [{"value": 1}, {"value": 2}]),
        ("application/json", b"null", [{"value": None}]),
        ("application/json", b'[{"a": 1}, {"a": "x"}]', [{"a": "1"}, {"a": "x"}]),
        ("application/json", b'[{"a": 1}, {"a": [1]}]', [{"a": "1"}, {"a": "[1]"}]),
        ("application/json", b'[{"a": 100000000000000000000}]', [{"a": "100000000000000000000"}]),
        ("application/json", b'[{"a": {}}]', [{"a": "{}"}]),
        ("application/json", b"[]", []),
        ("application/x-ndjson", b'{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
    ],
)
def test_json_becomes_rows(kind: str, content: bytes, rows: list[dict[str, Any]]) -> None:
    assert read_answer(kind, content, "").to_pylist() == rows  # type: ignore[attr-defined]  # a table


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ((200, {"id": 7}), [{"id": 7}]),
        ((200, 3.5), [{"value": 3.5}]),
        ((200, "text"), [{"value": "text"}]),
        ((200, True), [{"value": True}]),
        ((200, b"plain", {"Content-Type": "text/plain"}), [{"value": "plain"}]),
        ((200, "fünf".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"}), [{"value": "fünf"}]),
        ((204, None), None),
        ((200, b"", {"Content-Type": "application/json"}), None),
    ],
)
def test_an_answer_becomes_rows_or_one_value_or_nothing(web: Any, use: Any, answer: Any, rows: Any) -> None:
    web.answer(answer)
    assert use(HTTP, url=web.url) == rows


@pytest.mark.parametrize(
    ("arguments", "method", "path", "headers", "body"),
    [
        ({}, "GET", "/", {}, b""),
        ({"query": {"q": "a b", "n": None, "x": True, "d": Decimal("1.50")}}, "GET", "/?q=a+b&x=true&d=1.50", {}, b""),
        ({"method": "PUT", "body": "é"}, "PUT", "/", {"Content-Type": "text/plain; charset=utf-8"}, "é".encode()),
        (
            {"method": "POST", "json": {"a": [1, Decimal("2.50"), None]}},
            *("POST", "/", {"Content-Type": "application/json"}, b'{"a":[1,2.50,null]}'),
        ),
        ({"headers": {"X-A": 1, "X-B": None}}, "GET", "/", {"X-A": "1"}, b""),
        (
            {"method": "POST", "body": "<a/>", "headers": {"content-type": "text/xml"}},
            *("POST", "/", {"content-type": "text/xml"}, b"<a/>"),
        ),
    ],
)
def test_what_is_asked(web: Any, use: Any, arguments: Any, method: str, path: str, headers: Any, body: bytes) -> None:
    use(HTTP, url=f"{web.url}/", **arguments)
    (got,) = web.received
    assert (got.method, got.path, got.body) == (method, path, body)
    assert headers.items() <= got.headers.items()
    assert [name.lower() for name in got.headers].count("content-type") <= 1


def test_rows_are_sent_by_a_method_that_has_a_body(web: Any, use: Any) -> None:
    rows = [{"id": 1, "price": Decimal("9.50")}]
    use(HTTP, rows, url=web.url, method="POST")
    use(HTTP, rows, url=web.url, method="POST", json={})
    use(HTTP, rows, url=web.url)
    assert [one.body for one in web.received] == [b'[{"id":1,"price":9.50}]', b"{}", b""]


def test_each_attempt_of_a_task_has_the_same_key(web: Any, use: Any) -> None:
    web.answer(200)
    use(HTTP, url=web.url, call_attempt=1)
    use(HTTP, url=web.url, call_attempt=2)
    use(HTTP, url=web.url, call_idempotency_key="bill 17")
    use(HTTP, url=web.url, headers={"idempotency-key": "mine"})
    use(HTTP, url=web.url, call_task_key="x" * 300)
    keys = [one.headers.get("Idempotency-Key") or one.headers["idempotency-key"] for one in web.received]
    assert keys[:4] == ["r1/s/0/0/0", "r1/s/0/0/0", "bill%2017", "mine"]
    assert len(keys[4]) == 64


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 418, 422, 451, 304])
def test_an_answer_that_stays_the_same_is_not_tried_again(web: Any, failure: Any, status: int) -> None:
    web.answer((status, b"no\nsuch page" if status != 304 else None))
    error = failure(HTTP, url=f"{web.url}/a")
    assert (error.kind, error.retryable) == ("HttpError", False)
    assert error.message.startswith(f"GET {web.url}/a answered {status} ")
    assert error.message.endswith(": no such page") or status == 304


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_an_answer_that_may_change_is_tried_again(web: Any, failure: Any, status: int) -> None:
    web.answer(status)
    error = failure(HTTP, url=web.url)
    assert (error.kind, error.retryable, error.after) == ("HttpError", True, None)


SENT = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
    ],
)
def test_the_time_that_the_service_asks_for_is_kept(failure: Any, headers: Any, seconds: int | None) -> None:
    with one_answer(429, {**SENT, **headers}) as url:
        error = failure(HTTP, url=url)
    assert error.after == (None if seconds is None else timedelta(seconds=seconds))


class one_answer:  # noqa: N801  (a context manager)
    """A server that gives a raw answer once; the other would send the date of today."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items()), "Content-Length: 0"]
        self._raw = "\r\n".join([*lines, "", ""]).encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._raw)


@pytest.mark.parametrize(("expect", "status", "fails"), [(404, 404, False), ([200, 404], 404, False), (201, 200, True)])
def test_which_answers_are_good_can_be_said(web: Any, use: Any, expect: Any, status: int, fails: bool) -> None:
    web.answer(status)
    if fails:
        with pytest.raises(TaskError, match=f"answered {status}"):
            use(HTTP, url=web.url, expect=expect)
    else:
        use(HTTP, url=web.url, expect=expect)


def test_redirects_are_followed(web: Any, use: Any) -> None:
    web.answer((302, None, {"Location": "/there"}), (200, {"a": 1}))
    assert use(HTTP, url=web.url) == [{"a": 1}]
    assert web.received[1].path == "/there"


def test_an_endless_redirect_fails(web: Any, failure: Any) -> None:
    web.answer((302, None, {"Location": "/"}))
    assert "for ever" in failure(HTTP, url=web.url).message


def test_a_server_that_is_not_there_is_tried_again(failure: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(HTTP, url=f"http://user:secret@127.0.0.1:{port}/")
    assert (error.kind, error.retryable) == ("ConnectionError", True)
    assert error.message == f"GET http://127.0.0.1:{port}/: Connection refused"


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "ftp://x/"},
        {"url": "no address"},
        {"url": "http://"},
        {"url": "http://[::1/"},
        {"headers": {"X": "a\nb"}},
        {"headers": {"Ä ö": "x"}},
        {"url": "http://127.0.0.1:1/", "expect": "2xx"},
        {"url": "http://127.0.0.1:1/", "expect": [True]},
        {"url": "http://127.0.0.1:1/", "body": "a", "json": 1},
        {"url": "http://127.0.0.1:1/", "method": "BREW"},
        {"url": None},
    ],
    ids=str,
)
def test_a_request_that_can_not_be_made_is_not_tried_again(web: Any, failure: Any, arguments: Any) -> None:
    error = failure(HTTP, **{"url": web.url, **arguments})
    assert (error.kind, error.retryable) == ("WrongArgument", False)


def test_a_stop_ends_the_wait_for_an_answer(web: Any, failure: Any, stop: StopToken, hang: object) -> None:
    web.answer((200, hang))
    threading.Thread(target=lambda: (web.hung.acquire(), stop.request())).start()
    error = failure(HTTP, url=web.url)
    assert error.kind == "Interrupted"


def test_an_answer_that_breaks_off_is_tried_again(failure: Any) -> None:
    with one_answer(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}) as url:
        error = failure(HTTP, url=url)
    assert (error.kind, error.retryable) == ("ConnectionError", True)


def test_json_that_is_none_is_told(web: Any, failure: Any) -> None:
    web.answer((200, b"{", {"Content-Type": "application/json"}))
    assert failure(HTTP, url=web.url).kind == "WrongAnswer"


# --- webhooks -------------------------------------------------------------------------------------------------------

ROWS = [{"n": number} for number in range(5)]


@pytest.mark.parametrize(
    ("arguments", "bodies"),
    [
        ({}, [b'[{"n":0},{"n":1},{"n":2},{"n":3},{"n":4}]']),
        ({"max_rows": 2}, [b'[{"n":0},{"n":1}]', b'[{"n":2},{"n":3}]', b'[{"n":4}]']),
        ({"max_rows": 5}, [b'[{"n":0},{"n":1},{"n":2},{"n":3},{"n":4}]']),
        ({"max_rows": 3, "format": "ndjson"}, [b'{"n":0}\n{"n":1}\n{"n":2}\n', b'{"n":3}\n{"n":4}\n']),
    ],
)
def test_rows_go_out_in_requests_of_bounded_size(web: Any, use: Any, arguments: Any, bodies: list[bytes]) -> None:
    assert use(WEBHOOK, ROWS, url=web.url, **arguments) is None
    assert [one.body for one in web.received] == bodies
    assert [one.headers["Idempotency-Key"] for one in web.received] == [
        f"r1/s/0/0/0/{number}" if number else "r1/s/0/0/0" for number in range(len(bodies))
    ]
    assert {one.method for one in web.received} == {"POST"}


def test_no_rows_are_no_request(web: Any, use: Any) -> None:
    use(WEBHOOK, [], url=web.url)
    assert web.received == []


def test_a_further_attempt_begins_with_the_request_that_failed(web: Any, use: Any, failure: Any) -> None:
    beats: list[Any] = []
    web.answer(200, 503, 200)
    assert failure(WEBHOOK, ROWS, url=web.url, max_rows=2, call_heartbeat=beats.append).retryable
    use(WEBHOOK, ROWS, url=web.url, max_rows=2, call_last_heartbeat=beats[-1])
    assert [one.json[0]["n"] for one in web.received] == [0, 2, 2, 4]
    first, failed, again, _ = [one.headers["Idempotency-Key"] for one in web.received]
    assert failed == again != first


def test_what_another_task_told_says_nothing_of_this_one(web: Any, use: Any) -> None:
    use(WEBHOOK, ROWS, url=web.url, call_last_heartbeat={"task": "another", "requests": 1})
    assert len(web.received) == 1


def test_a_request_without_room_for_a_row_is_refused(failure: Any) -> None:
    assert failure(WEBHOOK, ROWS, url="http://127.0.0.1:1/", max_rows=0).kind == "WrongArgument"
