"""Threads for tasks: what waits with a higher priority is taken first, of one priority what was handed over first.

Not ``concurrent.futures``: a time-out must be able to give up on a thread that doesn't come back, without losing its
place in the pool and without the process waiting for it at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue


class Job:
    """A piece of work handed to the pool. ``taken``: a thread has begun with it, and may have finished since."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.taken = False
        self.running = False
        self.abandoned = False


class Workers:
    """At most ``size`` threads that are of use; those given up on don't count.

    A thread waits for a token, of which there is one per job: in C, which wakes it sooner than a condition would.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._jobs: list[tuple[int, int, Job]] = []
        self._numbers = count()
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, work: Callable[[], None], priority: int = 0) -> Job:
        job = Job(work)
        with self._lock:
            heappush(self._jobs, (-priority, next(self._numbers), job))
            more = self._idle < len(self._jobs) and self._threads < self._size
            self._threads += more
        self._tokens.put(None)
        if more:
            self._start()
        return job

    def abandon(self, job: Job) -> None:
        """Don't wait for this job any more: it is dropped if it hasn't begun, else its thread is replaced."""
        with self._lock:
            if job.abandoned:
                return
            job.abandoned = True
            if not job.running:
                return
            self._threads -= 1
            replace = bool(self._jobs) and self._threads < self._size
            self._threads += replace
        if replace:
            self._start()

    def close(self) -> None:
        """Let idle threads go; running ones end with their job or with the process."""
        with self._lock:
            self._closed = True
            self._jobs.clear()
            threads = self._threads
        for _ in range(threads):
            self._tokens.put(None)

    def _start(self) -> None:
        threading.Thread(target=self._serve, name="wvflow-worker", daemon=True).start()

    def _serve(self) -> None:
        while not self._closed:
            if (job := self._next()) is not None and self._was_given_up(job):
                return

    def _next(self) -> Job | None:
        """Wait for a job; None when there is nothing to do after all."""
        with self._lock:
            self._idle += 1
        self._tokens.get()
        with self._lock:
            self._idle -= 1
            if not self._jobs:
                return None
            _, _, job = heappop(self._jobs)
            if job.abandoned:
                return None
            job.taken = job.running = True
            return job

    def _was_given_up(self, job: Job) -> bool:
        """Do the job; whether nobody waited for it any more, so that another thread has taken this one's place."""
        try:
            job.work()
        finally:
            with self._lock:
                job.running = False
        return job.abandoned
