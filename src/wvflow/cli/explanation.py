"""An explained run for people."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from wvflow.cli.format import duration, instant, printable
from wvflow.cli.states import state_text

if TYPE_CHECKING:
    from wvflow.kernel.because import Reason
    from wvflow.kernel.below import ChildExplained, InstancesExplained, InstanceWaits
    from wvflow.kernel.events import EpochMs
    from wvflow.kernel.explained import Explained, StageExplained
    from wvflow.kernel.unmet import Bound, Unmet
    from wvflow.service.explaining import RunExplained

MOST_STAGES = 60
MOST_UNHEARD = 20


def lines(found: RunExplained, *, wanted: str = "") -> Iterator[RenderableType]:
    """The run, then each stage that there is something to say about. ``wanted``: the only stage that was asked for."""
    row, why = found.row, found.why
    yield Text.assemble(state_text(row.state), "  ", (row.flow.flow, "bold"), (f"  run {row.run_id}", "dim"))
    if why.reason:
        yield _indented("because", why.reason, 1)
    clock = _Clock(found.at)
    for one in why.unmet:
        yield from _unmet(one, clock, 1)
    for bound in why.unless:
        yield _indented("at most", _bound(bound, clock), 1)
    if found.unheard:
        more = f" and {len(found.unheard) - MOST_UNHEARD:,} more" if len(found.unheard) > MOST_UNHEARD else ""
        yield _indented(
            "unheard", f"{', '.join(found.unheard[:MOST_UNHEARD])}{more}: recorded, and told to who drives it", 1
        )
    yield from _lateness(why, clock, 1)
    told = [one for one in why.stages if wanted or one.unmet or one.reasons or one.late or _lost_some(one)]
    for stage in told[:MOST_STAGES]:
        yield from _stage(row.run_id, stage, clock)
    if hidden := len(told) - MOST_STAGES if len(told) > MOST_STAGES else 0:
        yield Text(f"\n… and {hidden:,} more stages; name one, or all of them: --json", style="dim")
    if left := Counter(one.state for one in why.stages if one not in told):
        counts = ", ".join(f"{count:,} {'succeeded' if state == 'success' else state}" for state, count in left.items())
        yield Text(f"\n{counts}", style="dim")


def _lost_some(stage: StageExplained) -> bool:
    """Whether instances failed, though it did not."""
    return stage.instances is not None and bool(stage.instances.failures)


class _Clock(NamedTuple):
    now: EpochMs

    def at(self, due: EpochMs) -> str:
        """An instant, and how far away it is."""
        away = due - self.now
        return f"{instant(due)}, {f'in {duration(away)}' if away > 0 else f'{duration(-away)} ago'}"


def _stage(run: str, stage: StageExplained, clock: _Clock) -> Iterator[RenderableType]:
    since = f"  since {clock.at(stage.since)}" if stage.since is not None else ""
    yield Text.assemble("\n", (printable(stage.stage), "bold"), "  ", state_text(stage.phase), (since, "dim"))
    for one in stage.unmet:
        yield from _unmet(one, clock, 2)
    for bound in stage.unless:
        yield _indented("at most", _bound(bound, clock), 2)
    yield from _lateness(stage, clock, 2)
    if stage.child is not None:
        yield _indented("child", _child(stage.child), 2)
    yield from _chain(stage.reasons)
    if stage.failure is not None:
        yield _indented("handled" if stage.failure.handled else "not handled", stage.failure.why, 2)
    if stage.instances is not None:
        yield from _instances(run, stage.stage, stage.instances, clock)


def _lateness(found: Explained | StageExplained, clock: _Clock, depth: int) -> Iterator[RenderableType]:
    if found.deadline is not None:
        yield _indented("in time", _bound(found.deadline, clock), depth)
    if found.late is not None:
        yield _indented("late", f"since {clock.at(found.late)}", depth)


def _child(child: ChildExplained) -> str:
    if child.behind:
        return f"run {child.run_id} of {child.flow}, waits for a slot: {_slots(child.behind)}"
    state = child.state.replace("_", " ") or "about to start"
    problem = f" ({child.problem.partition(';')[0]})" if child.problem else ""
    state += ", which has the same key" if child.by_key else ""
    return f"run {child.run_id} of {child.flow}, {state}{problem}: wvflow runs explain {child.run_id}"


def _slots(runs: Sequence[str]) -> str:
    """Which runs have them. The child has no record yet that could be looked at."""
    more = f", and {len(runs) - 3:,} more" if len(runs) > 3 else ""
    has = f"run {runs[0]} has it" if len(runs) == 1 else f"runs {', '.join(runs[:3])}{more} have them"
    return f"{has}: wvflow runs explain {runs[0]}"


def _instances(run: str, stage: str, found: InstancesExplained, clock: _Clock) -> Iterator[RenderableType]:
    """How many of them are how, and the first that failed and that wait."""
    counts = [f"{count:,} {_HOW.get(state, state)}" for state, count in _in_order(found.states)]
    yield _indented("instances", f"{found.count:,}: {', '.join(counts)}" if counts else "none", 2)
    for failed in found.failures:
        yield _indented("failed", f"{failed.instance:,}: {failed.error}", 2)
    if (more := found.states.get("failed", 0) - len(found.failures)) > 0:
        yield _indented("", f"… and {more:,} more", 2)
    for waits in found.waiting:
        yield _indented("waiting", f"{waits.instance:,}: {_wait_of(waits, clock)}", 2)
    waiting = sum(found.states.get(state, 0) for state in ("retrying", "waiting"))
    if (more := waiting - len(found.waiting)) > 0:
        yield _indented("", f"… and {more:,} more", 2)
    if found.states.keys() - {"success", "pending"}:
        yield _indented("one of them", f"wvflow runs explain {run} {shlex.quote(stage)} --instance N", 2)


def _wait_of(waits: InstanceWaits, clock: _Clock) -> str:
    if waits.child is not None:
        return _child(waits.child)
    return "; ".join(one.condition + (f" ({clock.at(one.due)})" if one.due is not None else "") for one in waits.unmet)


_HOW = {"success": "succeeded", "attempting": "running", "retrying": "waiting for another attempt"}
_ORDER = ("success", "failed", "skipped", "cancelled", "attempting", "queued", "retrying", "waiting", "pending")


def _in_order(states: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(states.items(), key=lambda item: _ORDER.index(item[0]))


def _unmet(one: Unmet, clock: _Clock, depth: int) -> Iterator[RenderableType]:
    due = f" ({clock.at(one.due)})" if one.due is not None else ""
    yield _indented("waiting", one.condition, depth)
    yield _indented("until", one.event + due, depth)


def _bound(bound: Bound, clock: _Clock) -> str:
    return bound.limit + (f", over at {clock.at(bound.due)}" if bound.due is not None else "")


def _chain(reasons: Sequence[Reason]) -> Iterator[RenderableType]:
    for depth, reason in enumerate(reasons):
        if reason.left_out:
            yield _indented("", f"… {reason.left_out:,} more between …", 2)
        whose = f"`{reason.stage}` {_WAS[reason.state]}: " if depth else ""
        yield _indented("because", f"{whose}{reason.why}", 2)


_WAS = {"failed": "failed", "skipped": "was skipped", "cancelled": "was cancelled"}


def _indented(word: str, text: str, depth: int) -> Padding:
    """A line under its headline; what is too long goes on below its own beginning."""
    shown = printable(text).replace("\n", " ")
    from rich.table import Table

    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(style="dim", no_wrap=True, width=11 if depth > 1 else 9)
    line.add_column(overflow="fold")
    line.add_row(word, shown)
    return Padding(line, (0, 0, 0, 2))
