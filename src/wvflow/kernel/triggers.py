"""Triggers: whether a stage runs, decided by how its upstreams ended.

A rule sees a tally and never the upstreams themselves, so deciding costs the same for one upstream as for a thousand;
an ``if`` looks at the stages that it names. Both are asked each time an upstream ended, and hold only once every
upstream is terminal, so a stage's input never depends on who was faster (but for ``eager``). That they can no longer
hold they say as soon as it is certain. A stage without upstreams is asked once, at the start.

Stages of a fan-in that are fallbacks of each other are one upstream: it is counted when the last of them ended, as
what the first was that did not fail.

Source: flow language, section 2, "Trigger rules" and "Failure".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgspec

from wvflow.errors import Bug
from wvflow.kernel.state import Phase, Tally
from wvflow.plan.nodes import AllOf, AnyOf, Condition, Negation, StagePlan, StateIs
from wvflow.plan.refs import StageId

PhaseOf: TypeAlias = Callable[[StageId], Phase]


class Verdict(NamedTuple):
    """``reason``: why the trigger can no longer hold; ``""`` while it can."""

    holds: bool = False
    reason: str = ""


WAITS = Verdict()
HOLDS = Verdict(holds=True)


class Rule(NamedTuple):
    """No upstream may have ended as one that it ``forbids``, and, if it ``needs`` any, one must have ended so."""

    forbids: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


def _rule(*, forbids: str = "", needs: str = "") -> Rule:
    return Rule(frozenset(forbids.split()), frozenset(needs.split()))


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "all_success": _rule(forbids="failed skipped cancelled"),
        "one_success": _rule(needs="success"),
        "one_failed": _rule(needs="failed"),
        "one_done": _rule(needs="success failed"),
        "none_failed": _rule(forbids="failed cancelled"),
        "none_failed_min_one_success": _rule(forbids="failed cancelled", needs="success"),
        "none_skipped": _rule(forbids="skipped"),
        "all_failed": _rule(forbids="success skipped cancelled"),
        "all_skipped": _rule(forbids="success failed cancelled"),
        "all_done": _rule(),
        "always": _rule(),
    }
)


def judge(here: StagePlan, tally: Tally, phase_of: PhaseOf) -> Verdict:
    """Whether the trigger of a stage holds, with the ``tally`` of its upstreams."""
    if here.trigger.condition is not None:
        return _judge_condition(here, here.trigger.condition, tally, phase_of)
    rule = RULES[here.trigger.rule]
    if broken := _broken(tally, rule.forbids):
        return Verdict(reason=broken)
    met = not rule.needs or any(getattr(tally, state) for state in rule.needs)
    if _ended(tally) < _counted_upstreams(here):
        return HOLDS if met and here.trigger.eager else WAITS
    return HOLDS if met else Verdict(reason="trigger")


def _judge_condition(here: StagePlan, condition: Condition, tally: Tally, phase_of: PhaseOf) -> Verdict:
    if broken := _broken(tally, RULES["all_success"].forbids):
        return Verdict(reason=broken)
    found = truth(condition, phase_of)
    if found is False:
        return Verdict(reason="trigger")
    ended = _ended(tally) == _counted_upstreams(here) and all(phase_of(one).is_terminal for one in here.trigger.named)
    return HOLDS if found and ended else WAITS


def _broken(tally: Tally, forbidden: frozenset[str]) -> str:
    """The reason why a rule that forbids these states can't hold, ``""`` while none was seen."""
    for state in ("failed", "skipped", "cancelled"):
        if state in forbidden and getattr(tally, state):
            return f"upstream_{state}"
    return "trigger" if "success" in forbidden and tally.success else ""


def truth(condition: Condition, phase_of: PhaseOf) -> bool | None:
    """Three-valued: None while what ended so far leaves it open."""
    match condition:
        case StateIs(stage=stage, state=state):
            phase = phase_of(stage)
            return (state in ("done", phase.value)) if phase.is_terminal else None
        case Negation(operand=operand):
            inner = truth(operand, phase_of)
            return None if inner is None else not inner
        case AllOf(operands=operands) | AnyOf(operands=operands):
            decisive = isinstance(condition, AnyOf)
            found = [truth(one, phase_of) for one in operands]
            if decisive in found:
                return decisive
            return None if None in found else not decisive


# --- the tally ------------------------------------------------------------------------------------------------------


def heard(here: StagePlan, tally: Tally, ended: StageId, phase_of: PhaseOf) -> Tally:
    """The tally once the upstream ``ended``."""
    if ended in here.trigger.named:
        return tally
    chains = [chain for chain in here.chains if ended in chain]
    for chain in chains:
        if all(phase_of(one).is_terminal for one in chain):
            tally = counted(tally, outcome_of(chain, phase_of))
    return tally if chains else counted(tally, phase_of(ended))


def tally_of(here: StagePlan, phase_of: PhaseOf) -> Tally:
    """The tally of all upstreams that have ended, counted anew. O(upstreams)."""
    tally = Tally()
    for unit in units(here):
        if all(phase_of(one).is_terminal for one in unit):
            tally = counted(tally, outcome_of(unit, phase_of))
    return tally


def units(here: StagePlan) -> Iterator[tuple[StageId, ...]]:
    """What counts as one upstream each: chains, then the upstreams in none that the ``if`` doesn't name."""
    chained = _chained(here)
    yield from here.chains
    for one in here.upstreams:
        if one not in chained and one not in here.trigger.named:
            yield (one,)


def outcome_of(chain: tuple[StageId, ...], phase_of: PhaseOf) -> Phase:
    """How a unit ended: as its first stage unless that failed, then success if a fallback succeeded, else failed."""
    first, *fallbacks = chain
    if phase_of(first) is not Phase.FAILED:
        return phase_of(first)
    return Phase.SUCCESS if any(phase_of(one) is Phase.SUCCESS for one in fallbacks) else Phase.FAILED


def _counted_upstreams(here: StagePlan) -> int:
    return len(here.upstreams) - len(here.trigger.named) - len(_chained(here)) + len(here.chains)


def _chained(here: StagePlan) -> set[StageId]:
    return {one for chain in here.chains for one in chain}


def _ended(tally: Tally) -> int:
    return tally.success + tally.failed + tally.skipped + tally.cancelled


def counted(tally: Tally, phase: Phase) -> Tally:
    """The tally with one more upstream that ended in ``phase``."""
    success, failed, skipped, cancelled = msgspec.structs.astuple(tally)
    match phase:
        case Phase.SUCCESS:
            return Tally(success + 1, failed, skipped, cancelled)
        case Phase.FAILED:
            return Tally(success, failed + 1, skipped, cancelled)
        case Phase.SKIPPED:
            return Tally(success, failed, skipped + 1, cancelled)
        case Phase.CANCELLED:
            return Tally(success, failed, skipped, cancelled + 1)
        case _:
            raise Bug(f"a stage that is {phase.value} has not ended")
