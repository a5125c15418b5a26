"""The calls that updates end with: an activity whose result goes to whoever sent the update (flow language, section 8).

    idle ──an update is accepted──▶ its call, as a stage's task: retried, timed out, lost, paused ──it ends──▶ told
     ▲                                                                                              │
     └───────────────────────────── none waits ◀────────────────────────────────────────────────────┴─▶ the next one

The call is the task of a pseudo-stage, one for each such update of the flow. Its calls are made one after another, in
the order in which the updates were accepted; the iteration numbers them. ``calls`` holds the one that is under way and
those that wait. When it ends, in whichever way, ``TellCaller`` follows from the very event: so each is told once.

A call that is not told counts as an open stage: the run doesn't end before. A cancel, and all else that ends a run,
stops the call that is under way as it would a stage's, and those that wait are told so. What went wrong in a call is
its caller's business, and changes nothing about the run.
"""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.kernel.commands import TellCaller
from wvflow.kernel.events import Failure
from wvflow.kernel.state import Call, Phase, RunPhase, StageState

CANCELLED = Failure("Cancelled", "the run was cancelled before the call of the update had ended", retryable=False)
UNCALLED = "no_call"
"""Why the pseudo-stage is skipped when its run ends."""
ENDING = Failure("NotPossible", "the run is about to end", retryable=False)


def takes_calls(phase: RunPhase) -> bool:
    """Whether a run that is in this phase goes on for long enough."""
    return phase is RunPhase.RUNNING


def waiting(stage: StageState, call: Call) -> StageState:
    """The pseudo-stage with one more call."""
    return replace(stage, calls=(*stage.calls, call))


def at_next(stage: StageState) -> StageState:
    """The idle pseudo-stage, about to begin its next call."""
    return replace(stage, iteration=stage.iteration + 1, signal=stage.calls[0].args)


def told(ended: StageState, *, last: bool) -> tuple[StageState, list[TellCaller]]:
    """Who hears what of a call that has ended, and the pseudo-stage, which is idle. ``last``: none follows."""
    first, *others = ended.calls
    commands = [TellCaller(first.message, _failure(ended))]
    if last:
        commands += [TellCaller(one.message, CANCELLED) for one in others]
    rest = () if last else tuple(others)
    return StageState(attempt=ended.attempt, iteration=ended.iteration, calls=rest), commands


def _failure(ended: StageState) -> Failure | None:
    if ended.phase is Phase.SUCCESS:
        return None
    return ended.failure if ended.phase is Phase.FAILED else CANCELLED
