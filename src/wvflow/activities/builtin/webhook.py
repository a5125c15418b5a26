"""``activate('webhook', …)``: rows to a web service, in requests of bounded size.

How many rows were taken is told with each heartbeat, so a further attempt begins with the request that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from wvflow.activities.arguments import wrong_argument
from wvflow.activities.builtin.http import JSON, Method
from wvflow.activities.builtin.plain import portions, to_json
from wvflow.activities.builtin.requests import Request, client, headers_of, send
from wvflow.activities.context import ActivityContext

if TYPE_CHECKING:
    import pyarrow as pa

LINES = "application/x-ndjson"
ROWS_OF_A_REQUEST = 1_000


async def webhook(
    rows: pa.RecordBatchReader,
    *,
    url: str,
    format: Literal["json", "ndjson"] = "json",
    max_rows: int = ROWS_OF_A_REQUEST,
    method: Method = "POST",
    headers: dict[str, Any] | None = None,
    expect: Any = None,
    ctx: ActivityContext,
) -> None:
    """Send all rows; no request where there are none."""
    if max_rows < 1:
        raise wrong_argument(f"`max_rows` is a number above 0, not {max_rows}")
    taken = _taken(ctx)
    async with client() as by:
        for number, portion in enumerate(portions(rows, max_rows)):
            if number < taken:
                continue
            media_type = JSON if format == "json" else LINES
            named = headers_of(headers, ctx, media_type, part=str(number) if number else "")
            await send(by, Request(method, url, named, _content(portion, format)), expect)
            ctx.heartbeat({"task": ctx.task_key, "requests": number + 1})


def _taken(ctx: ActivityContext) -> int:
    """How many requests earlier attempts have made."""
    match ctx.last_heartbeat:
        case {"task": ctx.task_key, "requests": int() as requests}:
            return requests
    return 0


def _content(portion: Sequence[dict[str, Any]], format: str) -> bytes:
    return to_json(portion) if format == "json" else b"".join(to_json(row) + b"\n" for row in portion)
