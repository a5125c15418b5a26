"""A payment service, and a program that charges by it in a process that is killed at any of its writes."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wvflow.drivers.embedded import keybook
from wvflow.errors import RunNotFound
from wvflow.ports.ledger import KeyScope
from wvflow.ports.store import ENDED_STATES
from wvflow.service.api import load
from wvflow.service.project import load_project
from wvflow.service.runs import Runs
from wvflow.store.sqlite import SqliteStore

PAYMENTS = 8
FLOW = """
flow F = {{
  stage charge with {{ idempotency_key: _.id, retries: 1000, backoff: constant, retry_delay: '1ms' }} =
    from 'payments.csv' | http(method: 'POST', url: '{url}') | select id, receipt
  stage total = from charge | agg n = _.count
}}
"""
REFUNDED = """
flow F = {{
  stage charge with {{ compensate: refund, idempotency_key: _.id, retries: 1000, retry_delay: '1ms' }} =
    from 'payments.csv' | http(method: 'POST', url: '{url}') | select id, receipt
  stage refund with {{ retries: 1000, retry_delay: '1ms' }} =
    from _ as paid | select id | http(method: 'POST', url: '{url}/refund')
  stage refused = from charge | test receipt is null
}}
"""
_WRITES = ("commit", "claim", "record", "give_up")


class Service:
    """``charges``: every charge by its key, in order; ``refunds`` by the payment. One that honours keys gives the
    receipt of the first again."""

    def __init__(self, *, honours: bool) -> None:
        self.charges: list[str] = []
        self.refunds: list[str] = []
        self._honours = honours
        self._receipts: dict[str, str] = {}
        self._lock = threading.Lock()
        self._asked = 0
        self._answered = threading.Condition()
        self.url = ""

    def take(self, key: str, payment: str) -> str:
        with self._lock:
            if self._honours and key in self._receipts:
                return self._receipts[key]
            self.charges.append(key)
            self._receipts[key] = f"{payment}#{len(self.charges)}"
            return self._receipts[key]

    def refund(self, key: str, payment: str) -> str:
        with self._lock:
            if not (self._honours and key in self._receipts):
                self.refunds.append(payment)
            return self._receipts.setdefault(key, "back")

    @contextmanager
    def answering(self) -> Iterator[None]:
        """For as long as somebody is connected."""
        with self._answered:
            self._asked += 1
        try:
            yield
        finally:
            with self._answered:
                self._asked -= 1
                self._answered.notify_all()

    def settle(self) -> None:
        """Wait until all is answered that was asked, also by those who are dead: one asks behind them."""
        urllib.request.urlopen(self.url).close()
        with self._answered:
            self._answered.wait_for(lambda: not self._asked)

    @property
    def counts(self) -> Counter[str]:
        with self._lock:
            return Counter(self.charges)


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The address at which it answers."""

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with service.answering(), suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            self._say([])

        def do_POST(self) -> None:
            (payment,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            serve = service.refund if self.path == "/refund" else service.take
            receipt = serve(self.headers["Idempotency-Key"], payment["id"])
            self._say([{"id": payment["id"], "receipt": receipt}])

        def _say(self, answer: object) -> None:
            raw = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Shop:
    """A project whose process dies again and again. ``lost``: what the one that died last had charged and not written
    in the ledger."""

    def __init__(self, root: Path, url: str, service: Service, flow: str = FLOW) -> None:
        root.mkdir()
        (root / "f.wv").write_text(flow.format(url=url))
        self.keys = [f"{root.name}-{number}" for number in range(PAYMENTS)]
        (root / "payments.csv").write_text("id\n" + "".join(f"{key}\n" for key in self.keys))
        self.root = root
        self._service = service
        self.lost: set[str] = set()

    def run_until_done(self, chance: random.Random, died: Callable[[], None]) -> None:
        """``died`` is told of each death. A run that has failed, as its worker died too often, is resumed, too, unless
        it has undone what it did."""
        while not self._has_ended():
            before = self._service.counts
            if _run_and_die(self.root, chance.randrange(1, 3 * PAYMENTS), chance.random() < 0.5):
                self._service.settle()
                after = self._service.counts
                self.lost = {key for key in self.keys if after[key] > before[key]} - self._written()
                died()

    def _written(self) -> set[str]:
        """The payments that the ledger knows of: a charge is the first step of two."""
        store = SqliteStore(self.root / ".wvflow")
        try:
            found = store.entries(KeyScope("F", "charge"), self.keys)
            return {entry.key for entry in found if entry.steps}
        finally:
            store.close()

    def _has_ended(self) -> bool:
        runs = Runs(load_project(self.root / "f.wv"))
        try:
            ended = [run for run in runs.recent() if run.state in ENDED_STATES]
            return any(run.state == "success" or runs.summary(run.run_id).compensations for run in ended)
        finally:
            runs.close()

    def is_undone(self) -> bool:
        """Whether all that its run did was."""
        runs = Runs(load_project(self.root / "f.wv"))
        try:
            return [one.state for one in runs.summary("last").compensations] == ["success"]
        finally:
            runs.close()

    def receipts(self) -> list[dict[str, Any]]:
        runs = Runs(load_project(self.root / "f.wv"))
        try:
            found: list[dict[str, Any]] = runs.output("last", "charge").read_all().to_pylist()
            return found
        finally:
            runs.close()


def _run_and_die(root: Path, number: int, before: bool) -> bool:
    """Carry the run on, or begin one, in a process that dies at its write of that number; whether it died."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["wvflow.service.api", "wvflow.drivers.embedded.loop", "duckdb", "pyarrow", "httpx"])
    process = context.Process(target=_carry_on, args=(root, number, before))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _carry_on(root: Path, number: int, before: bool) -> None:
    keybook.LONGEST_UNWRITTEN_S = 0.0  # the window of one key: what is quick is not gathered
    writes = iter(range(1, 1 << 30))
    for name in _WRITES:
        setattr(SqliteStore, name, _deadly(getattr(SqliteStore, name), writes, number, before))
    runs = Runs(load_project(root / "f.wv"))
    try:
        if runs.find("last").state != "success":
            asyncio.run(runs.resume("last"))
    except RunNotFound:
        load(root / "f.wv").run("F")
    finally:
        runs.close()


def _deadly(real: Callable[..., Any], writes: Iterator[int], number: int, before: bool) -> Callable[..., Any]:
    def die_if(now: bool, count: int) -> None:
        if now and count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    async def later(answer: Any, count: int) -> Any:
        found = await answer
        die_if(not before, count)
        return found

    def write(*args: Any) -> Any:
        count = next(writes)
        die_if(before, count)
        answer = real(*args)
        if asyncio.iscoroutine(answer):
            return later(answer, count)
        die_if(not before, count)
        return answer

    return write
