"""Threads for tasks.

Not ``concurrent.futures``: a time-out must be able to give up on a thread that doesn't come back, without losing its
place in the pool and without the process waiting for it at its end.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Job:
    """A piece of work handed to the pool. ``taken``: a thread has begun with it, and may have finished since."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.taken = False
        self.running = False
        self.abandoned = False


class Workers:
    """At most ``size`` threads that are of use; those given up on don't count. Jobs start in order of submission."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, work: Callable[[], None]) -> Job:
        job = Job(work)
        with self._lock:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._threads >= self._size:
                self._lock.notify()
                return job
            self._threads += 1
        threading.Thread(target=self._serve, name="wvflow-worker", daemon=True).start()
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
            threading.Thread(target=self._serve, name="wvflow-worker", daemon=True).start()

    def close(self) -> None:
        """Let idle threads go; running ones end with their job or with the process."""
        with self._lock:
            self._closed = True
            self._jobs.clear()
            self._lock.notify_all()

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.work()
            finally:
                with self._lock:
                    job.running = False
                    replaced = job.abandoned
            if replaced:
                return

    def _next(self) -> Job | None:
        with self._lock:
            while True:
                while self._jobs:
                    job = self._jobs.popleft()
                    if not job.abandoned:
                        job.taken = job.running = True
                        return job
                if self._closed:
                    self._threads -= 1
                    return None
                self._idle += 1
                self._lock.wait()
                self._idle -= 1
