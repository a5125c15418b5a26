"""The wording of every mistake about flows that come after others, as one set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.semantics.mistakes import did_you_mean, listed
from wvflow.source import Span


def depends_on_itself(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.CYCLE, f"flows depend on each other: {name} → {name}", use, "name another flow")


def cycle(path: Sequence[str], uses: Sequence[Span]) -> Diagnostic:
    pairs = zip(pairwise(path), uses, strict=True)
    notes = tuple(Note(f"`{reader}` depends on `{read}`", span) for (reader, read), span in pairs)
    message = f"flows depend on each other, so that none of them ever runs: {' → '.join(path)}"
    return Diagnostic(Code.CYCLE, message, uses[0], None, notes)


def after_skipped(flow: str, use: Span) -> Diagnostic:
    message = f"a skipped run of `{flow}` never began, and nothing comes after it"
    return Diagnostic(Code.BAD_DEPENDENCY, message, use, f"write `{flow}.done` for each that has ended, however it did")


def never_after(use: Span) -> Diagnostic:
    message = "no runs can ever be so: one run ends in one state"
    return Diagnostic(Code.BAD_DEPENDENCY, message, use, "write `or` between states of one flow")


def success_and_another_end(flow: str, name: str, use: Span, depends: Span) -> Diagnostic:
    message = f"no runs can ever be so: `depends on {name}` wants a run of `{name}` that succeeded"
    way_out = f"leave out `depends on {name}`: `flow {flow} if {use.text} = …` comes after runs of `{name}` by itself"
    return Diagnostic(Code.BAD_DEPENDENCY, message, use, way_out, (Note("it stands here", depends),))


def never_together(names: Sequence[str], flow: str, use: Span) -> Diagnostic:
    message = f"runs of {listed(names)} never go together: they come after one run of `{flow}`, and it ends in one way"
    way_out = f"have a flow for each of them, or let them come after `{flow}` in the same states"
    return Diagnostic(Code.NEVER_TOGETHER, message, use, way_out)


def too_much(use: Span) -> Diagnostic:
    message = "this says more than 64 different things to wait for"
    return Diagnostic(Code.BAD_DEPENDENCY, message, use, "have a flow for each of them")


def started_before_the_end(name: str, by: str, use: Span) -> Diagnostic:
    message = f"`{name}` comes after runs of `{by}` that have ended, and the one that starts it here has not"
    way_out = f"leave out this start: where no flow starts `{name}`, `wvflow serve` does when `{by}` has ended"
    return Diagnostic(Code.STARTED_BEFORE_END, message, use, way_out)


def started_by_flows(name: str, dependant: str, starters: Sequence[str], use: Span) -> Diagnostic:
    who = f"{listed(starters)} {'starts' if len(starters) == 1 else 'start'}"
    message = f"`{dependant}` comes after no run of `{name}` that {who}: only those count that no flow starts"
    way_out = f"have `{dependant}` come after `{starters[0]}`, or give `{name}` a `schedule`"
    return Diagnostic(Code.STARTED_BY_FLOWS, message, use, way_out)


def needs_default(flow: str, name: str, use: Span) -> Diagnostic:
    message = f"`{name}` has no default, and a run of `{flow}` that begins when others have ended is given none"
    return Diagnostic(Code.BAD_DEPENDENCY, message, use, f"write `{name} = …` among its parameters")


def unknown_stage_of(flow: str, stage: str, use: Span, known: Sequence[str]) -> Diagnostic:
    message = f"the flow `{flow}` has no stage `{stage}`"
    return Diagnostic(Code.UNKNOWN_STAGE, message, use, did_you_mean(stage, known, f"it has {listed(known)}"))


def unreadable(flow: str, stage: str, why: str, use: Span) -> Diagnostic:
    message = f"`{flow}.{stage}` can't be read: {why}"
    return Diagnostic(Code.UNREADABLE_UPSTREAM, message, use, "read the stage that makes its rows, or one behind it")


def flow_not_named(flow: str, use: Span) -> Diagnostic:
    message = f"`{flow}` is a flow, and of its stages only flows that come after it can read"
    way_out = f"write `depends on {flow}` in front of the `=` of this flow, or `save to` a table there and read that"
    return Diagnostic(Code.FLOW_NOT_NAMED, message, use, way_out)
