"""One request to a web service: what is sent along, what of the answers is an error, and which are tried again.

Again: an answer of ``AGAIN`` or of 500 and above, after the time of its ``Retry-After``; and where there was no answer.
Not again: any other that isn't expected, and a request that can't be made.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from wvflow.activities.arguments import wrong_argument
from wvflow.activities.builtin.plain import plain
from wvflow.activities.context import ActivityContext
from wvflow.errors import TaskError

if TYPE_CHECKING:
    import httpx

AGAIN = frozenset({408, 425, 429})
KEY = "Idempotency-Key"
LONGEST_KEY = 200
LONGEST_SHOWN = 500
CONNECT_S = 10.0
"""How long one address may take to answer that it is there. For how long the answer may take, an attempt's ``timeout``
says."""


class Request(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    query: Mapping[str, str] | None = None


def client() -> httpx.AsyncClient:
    """A client for one attempt. It is asynchronous because only so a stop ends its waiting."""
    import httpx

    limits = httpx.Timeout(None, connect=CONNECT_S)
    return httpx.AsyncClient(timeout=limits, follow_redirects=True, verify=_trust())


@lru_cache
def _trust() -> ssl.SSLContext:
    """Whose certificates are good: reading them takes longer than most requests."""
    import httpx

    return httpx.create_ssl_context()


async def send(by: httpx.AsyncClient, request: Request, expect: object) -> httpx.Response:
    """The answer, if it is one of those expected.

    Raises:
        TaskError: ``HttpError`` for another, ``ConnectionError`` and ``TimeoutError`` where there was none,
            ``WrongArgument`` for a request that can't be made.
    """
    accepted = _expected(expect)
    with _told(request):
        content = request.content
        answer = await by.request(
            request.method, request.url, headers=dict(request.headers), content=content, params=request.query
        )
    if not (answer.status_code in accepted if accepted else answer.is_success):
        raise _refused(request, answer)
    return answer


def headers_of(
    given: Mapping[str, Any] | None, ctx: ActivityContext, media_type: str = "", part: str = ""
) -> dict[str, str]:
    """The headers of a request. A key by which the service knows it again is among them; ``part`` tells several of one
    task apart."""
    own = {str(name): str(value) for name, value in (given or {}).items() if value is not None}
    named = {name.lower() for name in own}
    more = {KEY: idempotency_key(ctx, part), "Content-Type": media_type}
    return own | {name: value for name, value in more.items() if value and name.lower() not in named}


def idempotency_key(ctx: ActivityContext, part: str = "") -> str:
    """The same for every attempt, as a header can have it.

    >>> idempotency_key(ActivityContext(task_key="r1/load/0/0/0"), "2")
    'r1/load/0/0/0/2'
    """
    whole = "/".join(one for one in (ctx.idempotency_key or ctx.task_key, part) if one)
    shown = quote(whole, safe="/-._~:+=@")
    return shown if len(shown) <= LONGEST_KEY else sha256(whole.encode()).hexdigest()


def texts(values: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Values for the query of a web address; those that are null are left out."""
    if values is None:
        return None
    return {str(name): _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(plain(value))


def _expected(expect: object) -> frozenset[int]:
    """Status codes; none means all of success."""
    given = expect if isinstance(expect, list) else [] if expect is None else [expect]
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in given):
        raise wrong_argument(f"`expect` is a status or a list of them, not {expect!r}", "write `expect: [200, 404]`")
    return frozenset(given)


# --- what went wrong ------------------------------------------------------------------------------------------------


def _refused(request: Request, answer: httpx.Response) -> TaskError:
    status = answer.status_code
    said = " ".join(answer.text.split())
    said = f": {said[:LONGEST_SHOWN]}{'…' if len(said) > LONGEST_SHOWN else ''}" if said else ""
    return TaskError(
        "HttpError",
        f"{_shown(request)} answered {status} {answer.reason_phrase}".rstrip() + said,
        retryable=status in AGAIN or status >= 500,
        after=_after(answer),
    )


def _after(answer: httpx.Response) -> timedelta | None:
    """What ``Retry-After`` asks for: seconds, or a date, which is read by the clock of the one who sent it."""
    asked = answer.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return timedelta(seconds=min(int(asked), 10**9))
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(wait, timedelta())


@contextmanager
def _told(request: Request) -> Iterator[None]:
    """What httpx raises, in our words."""
    import httpx

    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise wrong_argument(f"{_shown(request)} can't be sent: {error}") from None
    except (ValueError, TypeError) as error:  # an address or a header that is none
        raise wrong_argument(f"{_shown(request)} can't be sent: {error}") from None
    except httpx.TooManyRedirects:
        raise TaskError("HttpError", f"{_shown(request)} leads from one address to the next for ever") from None
    except httpx.ConnectTimeout:
        raise TaskError("TimeoutError", f"{_shown(request)}: no connection within {CONNECT_S:.0f} s") from None
    except httpx.RequestError as error:
        raise TaskError("ConnectionError", f"{_shown(request)}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """What the system said of it, where httpx only says that it failed."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.errno is not None and at.errno in errno.errorcode:
            return os.strerror(at.errno)
        at = at.__cause__ or at.__context__
    return str(error) or type(error).__name__


def _shown(request: Request) -> str:
    """The request in a line, without a password in its address."""
    try:
        parts = urlsplit(request.url)
    except ValueError:
        return f"{request.method} to what is no address"
    host = parts.netloc.rpartition("@")[2]
    return f"{request.method} {urlunsplit(parts._replace(netloc=host))}"
