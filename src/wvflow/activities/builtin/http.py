"""``http(…)``: one request to a web service, whose answer is the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from wvflow.activities.arguments import wrong_argument
from wvflow.activities.builtin.answers import read_answer
from wvflow.activities.builtin.plain import to_json
from wvflow.activities.builtin.requests import Request, client, headers_of, send, texts
from wvflow.activities.context import ActivityContext

if TYPE_CHECKING:
    import pyarrow as pa

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


async def http(
    rows: pa.RecordBatchReader | None = None,
    *,
    url: str,
    method: Method = "GET",
    headers: dict[str, Any] | None = None,
    query: dict[str, Any] | None = None,
    body: str | None = None,
    json: Any = None,
    expect: Any = None,
    ctx: ActivityContext,
) -> object:
    """The rows of the answer. Input rows are sent by a method that has a body, where neither ``body`` nor ``json`` is
    given."""
    if body is not None and json is not None:
        raise wrong_argument("`body` and `json` are both given", "leave one out")
    content, media_type = _content(rows if method in WITH_BODY else None, body, json)
    request = Request(method, url, headers_of(headers, ctx, media_type), content, texts(query))
    async with client() as by:
        answer = await send(by, request, expect)
    return read_answer(answer.headers.get("Content-Type", ""), answer.content, answer.text)


def _content(rows: pa.RecordBatchReader | None, body: str | None, json: Any) -> tuple[bytes | None, str]:
    if body is not None:
        return body.encode(), TEXT
    if json is not None:
        return to_json(json), JSON
    if rows is not None:
        return to_json(rows.read_all().to_pylist()), JSON
    return None, ""
