"""Every exception that wvflow raises on purpose.

Three families: the user can mend it (``UserError``), something outside is away (``Unavailable``), and a defect of ours
(``Bug``). A user's mistake is shown without a traceback. A run that ends badly is a result, no exception.
"""

from __future__ import annotations

from datetime import timedelta


class WvflowError(Exception):
    """Base of all; ``help`` says the way out where there is one."""

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UserError(WvflowError):
    """Something the user asked for can't be done as asked."""


class ConfigError(UserError):
    """A project file or option has a wrong value."""


class RunNotFound(UserError):
    """No run has this id, or more than one begins with it."""


class NotPossible(UserError):
    """The run is not in a state in which this can be done."""


class EventLimit(NotPossible):
    """A run has as many events as the project allows. It is open, and goes on under a higher limit."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(
            f"run {run_id} has {limit:,} events, as many as a run may have",
            help=f"raise `limits.events` in wvflow.toml, then `wvflow runs resume {run_id}`; "
            f"or end it: `wvflow runs cancel {run_id}`",
        )


class OutputMissing(UserError):
    """The stage has no rows to show, or they were cleaned away."""


class PlanMissing(UserError):
    """The compiled program of a run is not in the state folder."""


class EvaluationError(UserError):
    """An expression has no value: a cast that fails, a division by zero, a number out of range."""


class StateTooNew(UserError):
    """The state folder was written by a later version of wvflow."""


class Unavailable(WvflowError):
    """A system that we need does not answer now; trying again may help."""


class StoreUnavailable(Unavailable):
    """The state folder can't be read or written now."""


class StoreBusy(StoreUnavailable):
    """Somebody else is writing at the moment."""


class NoSpace(Unavailable):
    """Nothing was written, and nothing will be until space is freed."""


class WorkerLost(WvflowError):
    """The process that ran a task died without an answer; ``message`` says how it died."""


class CallFailed(WvflowError):
    """A run accepted an update, and the call that it ends with failed."""

    def __init__(self, run_id: str, update: str, failure: str) -> None:
        super().__init__(f"run {run_id} accepted the update {update}, and its call failed: {failure}")


class RunDamaged(WvflowError):
    """What a run can't go on without can't be read; if it is open, it is quarantined."""

    def __init__(self, run_id: str, message: str) -> None:
        super().__init__(
            message,
            help="restore the state folder from a copy; "
            f"or end the run: `wvflow runs terminate {run_id}`, then `wvflow runs clean` can delete it",
        )
        self.run_id = run_id


class JournalCorrupt(RunDamaged):
    """A record of a run's journal does not match its checksum, or the journal folds to something else."""

    def __init__(self, run_id: str, position: int, reason: str) -> None:
        super().__init__(run_id, f"the journal of run {run_id} is damaged at record {position}: {reason}")
        self.position = position
        self.reason = reason


class TaskError(WvflowError):
    """A task's own failure, already in the form in which it is recorded.

    ``kind`` is the error type that ``retry_on`` and ``non_retryable`` name; ``detail`` the traceback's lines in the
    user's files; ``place`` the program's line at fault, ``file:line:column``; ``after`` the delay asked for.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        detail: str = "",
        place: str = "",
        retryable: bool = True,
        after: timedelta | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(message, help=help)
        self.kind = kind
        self.detail = detail
        self.place = place
        self.retryable = retryable
        self.after = after


class NonRetryable(WvflowError):
    """Raise in an activity: this attempt was the last, whatever ``retries`` says."""


class Retry(WvflowError):
    """Raise in an activity: the attempt failed, try again after ``after`` (if retries are left)."""

    def __init__(self, message: str = "the activity asked for a retry", *, after: timedelta) -> None:
        super().__init__(message)
        self.after = after


class Bug(WvflowError):
    """A state that can't be: a defect of wvflow, never of the user."""


class CompilerBug(Bug):
    """The compiler met a tree that an earlier phase should have refused."""


class UnexpectedEvent(Bug):
    """An event that can't follow from the commands issued so far."""
