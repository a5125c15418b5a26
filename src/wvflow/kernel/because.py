"""Why a stage ended without success: the chain of reasons, from the stage to where it began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from wvflow.errors import Bug
from wvflow.kernel.events import Failure
from wvflow.kernel.handled import Handling, handling
from wvflow.kernel.picture import Picture, listed
from wvflow.kernel.state import Phase, RunPhase, StageState
from wvflow.kernel.triggers import RULES, outcome_of, units
from wvflow.kernel.unmet import VERBS, given
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import Rule
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import Policy

LONGEST = 10
"""Links of a chain; of a longer one those in the middle are left out."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One link: what became of a stage, and why. ``left_out``: how many links are missing before this one."""

    stage: str
    state: str
    why: str
    left_out: int = 0


class _Link(NamedTuple):
    why: str
    cause: StageId | None = None


_UNSUCCESSFUL = (Phase.SKIPPED, Phase.FAILED, Phase.CANCELLED)
_INFINITIVES: Mapping[str, str] = MappingProxyType({"success": "succeed", "failed": "fail"})
_WANTS: Mapping[Rule, str] = MappingProxyType(
    {
        "all_success": "every upstream must succeed",
        "none_failed": "no upstream may fail or be cancelled",
        "none_failed_min_one_success": "no upstream may fail or be cancelled",
        "none_skipped": "no upstream may be skipped",
        "all_failed": "every upstream must fail",
        "all_skipped": "every upstream must be skipped",
    }
)
"""Of the rules that forbid states of upstreams."""


class Reasons:
    """The chains of one run. They share their ends, so what a chain leads to is found once for all of them."""

    def __init__(self, seen: Picture) -> None:
        self._seen = seen
        self._links: dict[StageId, _Link] = {}
        self._ends: dict[StageId, tuple[StageId, int]] = {}

    def of(self, id: StageId) -> tuple[Reason, ...]:
        """The chain that begins with a stage; none for one that succeeded or is open."""
        if self._seen.phase(id) not in _UNSUCCESSFUL:
            return ()
        found: list[Reason] = []
        at: StageId | None = id
        while at is not None and len(found) < LONGEST - 1:
            found.append(self._reason(at))
            at = self._cause(at)
        if at is not None:
            last, links = self._end(at)
            found.append(self._reason(last, left_out=links - 1))
        return tuple(found)

    def _reason(self, id: StageId, *, left_out: int = 0) -> Reason:
        state = self._seen.phase(id).shown
        return Reason(stage=self._seen.name(id), state=state, why=self._link(id).why, left_out=left_out)

    def _link(self, id: StageId) -> _Link:
        if id not in self._links:
            self._links[id] = _link(self._seen, id)
        return self._links[id]

    def _cause(self, id: StageId) -> StageId | None:
        cause = self._link(id).cause
        return cause if cause is not None and self._seen.phase(cause) in _UNSUCCESSFUL else None

    def _end(self, id: StageId) -> tuple[StageId, int]:
        """The last stage of the chain from here on, and how many links it has."""
        path = [id]
        while path[-1] not in self._ends and (cause := self._cause(path[-1])) is not None:
            path.append(cause)
        last, links = self._ends.get(path[-1], (path[-1], 1))
        for further, one in enumerate(reversed(path)):
            self._ends[one] = last, links + further
        return self._ends[id]


def _link(seen: Picture, id: StageId) -> _Link:
    match seen.phase(id):
        case Phase.SKIPPED:
            return _skipped(seen, id)
        case Phase.FAILED:
            return _Link(_failed(seen, id))
        case Phase.CANCELLED:
            return _cancelled(seen, id)
        case phase:
            raise Bug(f"a stage that is {phase.value} needs no reason")


# --- skipped --------------------------------------------------------------------------------------------------------


def _skipped(seen: Picture, id: StageId) -> _Link:
    stage, when = seen.stage(id), seen.here(id).when
    match stage.reason:
        case "when":
            return _Link(f"its `when` was not true{given(seen, when) if when is not None else ''}")
        case "empty":
            return _Link(f"it has `skip_empty`, and there were no input rows{_empty(seen, id)}")
        case "on_failure":
            return _Link(f"it has `on_failure: skip`, and failed: {_error(stage.failure)}")
        case "trigger":
            return _by_trigger(seen, id)
        case "nothing_to_undo":
            return _Link("there was nothing to undo")
        case reason:
            return _by_upstream(seen, id, Phase(reason.removeprefix("upstream_")))


def _empty(seen: Picture, id: StageId) -> str:
    outputs = [(one, seen.stage(one).output) for one in seen.here(id).upstreams]
    empty = [one for one, output in outputs if output is not None and output.rows == 0]
    return f": {seen.named(*empty)} put out none" if empty else ""


def _by_upstream(seen: Picture, id: StageId, state: Phase) -> _Link:
    """One of its upstreams ended as its trigger doesn't allow: the first that did."""
    found = [unit for unit in units(seen.here(id)) if seen.has_ended(unit) and outcome_of(unit, seen.phase) is state]
    decisive = [next(one for one in reversed(unit) if seen.phase(one) is state) for unit in found]
    cause = min(decisive, key=lambda one: (seen.stage(one).ended_at or 0, one))
    others = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    return _Link(f"{_wanted(seen, id)}, and {seen.with_states([cause])}{others}", cause)


def _wanted(seen: Picture, id: StageId) -> str:
    trigger = seen.here(id).trigger
    if trigger.condition is not None:
        return "every upstream that its `if` doesn't name must succeed"
    said = "" if trigger.rule == "all_success" else f" ({seen.trigger(trigger)})"
    return f"{_WANTS[trigger.rule]}{said}"


def _by_trigger(seen: Picture, id: StageId) -> _Link:
    trigger = seen.here(id).trigger
    if trigger.condition is not None:
        ended = _ended(seen, trigger.named)
        states = seen.with_states(ended)
        return _Link(f"{seen.condition(trigger.condition)} doesn't hold: {states}", _not_successful(seen, ended))
    rule, ended = RULES[trigger.rule], _ended(seen, seen.here(id).upstreams)
    if "success" in rule.forbids:
        against = [one for one in ended if seen.phase(one) is Phase.SUCCESS]
        return _Link(f"{_wanted(seen, id)}, and {seen.with_states(against)}")
    verb = listed([_INFINITIVES[state] for state in VERBS if state in rule.needs], "or")
    return _Link(
        f"at least one upstream had to {verb} ({seen.trigger(trigger)}), and none did: {seen.with_states(ended)}",
        _not_successful(seen, ended),
    )


def _ended(seen: Picture, ids: Iterable[StageId]) -> list[StageId]:
    return [one for one in ids if seen.phase(one).is_terminal]


def _not_successful(seen: Picture, ids: Iterable[StageId]) -> StageId | None:
    return next((one for one in ids if seen.phase(one) is not Phase.SUCCESS), None)


# --- failed ---------------------------------------------------------------------------------------------------------


def _failed(seen: Picture, id: StageId) -> str:
    stage = seen.stage(id)
    if stage.attempt == 0 or stage.failure is None or not seen.here(id).tasks:
        return _error(stage.failure)
    policy = seen.here(id).tasks[len(stage.done)].policy
    after = f"after {stage.attempt} attempts, " if stage.attempt > 1 else ""
    return f"{_error(stage.failure)}; {after}{_why_no_other(policy, stage.failure, stage)}"


def _error(failure: Failure | None) -> str:
    return f"{failure.kind}: {failure.message}" if failure else "no error was recorded"


def _why_no_other(policy: Policy, failure: Failure, stage: StageState) -> str:
    """Why this was the last attempt."""
    if failure.kind == "InstancesFailed":
        return "its instances had attempts of their own"
    if failure.kind == "ScheduleTimeout":
        return "there was no time for another attempt"
    if failure.kind in policy.non_retryable:
        return f"not tried again, as `non_retryable` names `{failure.kind}`"
    if not failure.retryable:
        return "not tried again, as an error of this kind would come again"
    if policy.retry_on and failure.kind not in policy.retry_on:
        return f"not tried again, as `retry_on` doesn't name `{failure.kind}`"
    return f"as many as `retries: {policy.retries}` allows" if policy.retries else "it has no `retries`"


def fate_of_failure(seen: Picture, id: StageId) -> tuple[bool, str]:
    """Whether the failure of a stage is handled, and why (not)."""
    found = handling(seen.plan, id, seen.stage)
    return found.how == "handled", _handling(seen, found)


def _handling(seen: Picture, found: Handling) -> str:
    match found.how:
        case "handled":
            return f"{seen.named(*found.by)} stood in for it"
        case "none":
            return "it has neither a fallback nor `on_failure: skip`"
        case "lost":
            return f"because of it, {seen.with_states(found.by)}"
        case "unsaved":
            return f"its fallback has not succeeded: {seen.with_states(found.by)}"
        case "unread":
            return f"{seen.named(*found.by)} succeeded, and no stage that reads both did"


# --- cancelled ------------------------------------------------------------------------------------------------------


def _cancelled(seen: Picture, id: StageId) -> _Link:
    before = f"before it {'ended' if seen.stage(id).attempt else 'began'}"
    match seen.run.ending or seen.run.phase:
        case RunPhase.TIMED_OUT:
            return _Link(f"the flow's `timeout` of {format_duration(seen.plan.timeout or 0)} was over {before}")
        case RunPhase.TERMINATED:
            return _Link(f"the run was terminated {before}")
        case RunPhase.FAILED if seen.plan.fail_fast and (cause := _hopeless(seen)) is not None:
            return _Link(f"the flow has `fail_fast`, and {seen.named(cause)} failed {before}", cause)
        case RunPhase.CANCELLED:
            return _Link(f"the run was cancelled {before}")
        case _ if seen.here(id).map is not None:
            return _Link("the child runs of some of its instances were cancelled")
        case _:
            return _Link("its child run was cancelled")


def _hopeless(seen: Picture) -> StageId | None:
    """The first stage to fail whose failure nothing was there to handle."""
    hopeless = [one for one in seen.those([Phase.FAILED]) if not seen.here(one).fallbacks]
    return min(hopeless, key=lambda one: (seen.stage(one).ended_at or 0, one), default=None)
