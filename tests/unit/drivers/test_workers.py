from __future__ import annotations

import threading

import pytest

from wvflow.drivers.embedded.workers import Workers
from wvflow.ports.stop import StopToken

PATIENCE = 10


def test_a_stop_request_reaches_those_who_asked_before_and_after() -> None:
    token, heard = StopToken(), []
    token.on_request(lambda: heard.append("before"))
    token.request()
    token.on_request(lambda: heard.append("after"))
    assert (token.requested, heard) == (True, ["before", "after"])


def test_a_call_that_was_taken_back_is_not_made() -> None:
    token, heard = StopToken(), []
    undo = token.on_request(lambda: heard.append("never"))
    undo()
    token.request()
    assert heard == []


def test_a_second_request_says_nothing_new() -> None:
    token, heard = StopToken(), []
    token.on_request(lambda: heard.append("once"))
    token.request()
    token.request()
    assert heard == ["once"]


def test_all_jobs_are_done_by_no_more_threads_than_the_pool_has() -> None:
    workers, done, threads = Workers(3), threading.Semaphore(0), set()

    def job() -> None:
        threads.add(threading.current_thread())
        done.release()

    for _ in range(50):
        workers.submit(job)
    assert all(done.acquire(timeout=PATIENCE) for _ in range(50))
    assert len(threads) <= 3
    workers.close()


def test_jobs_begin_in_order_of_submission() -> None:
    workers, order, last = Workers(1), [], threading.Event()
    for number in range(20):
        workers.submit(lambda number=number: order.append(number))
    workers.submit(last.set)
    assert last.wait(PATIENCE)
    assert order == list(range(20))
    workers.close()


@pytest.mark.parametrize("waiting_first", [True, False], ids=["the next job waits already", "the next job comes later"])
def test_a_thread_that_is_given_up_on_is_replaced(waiting_first: bool) -> None:
    workers, begun, stuck, served = Workers(1), threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        stuck.wait(PATIENCE)

    job = workers.submit(hang)
    assert begun.wait(PATIENCE)
    if waiting_first:
        workers.submit(served.set)
    workers.abandon(job)
    if not waiting_first:
        workers.submit(served.set)
    assert served.wait(PATIENCE)
    assert not stuck.is_set()
    stuck.set()
    workers.close()


def test_a_job_given_up_on_before_it_began_never_runs() -> None:
    workers, begun, stuck, last, ran = Workers(1), threading.Event(), threading.Event(), threading.Event(), []

    def hang() -> None:
        begun.set()
        stuck.wait(PATIENCE)

    workers.submit(hang)
    assert begun.wait(PATIENCE)
    workers.abandon(workers.submit(lambda: ran.append("never")))
    workers.submit(last.set)
    stuck.set()
    assert last.wait(PATIENCE)
    assert ran == []
    workers.close()
