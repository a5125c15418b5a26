"""Whether runs of the flows that a header names can ever go together.

Where several of them come after one flow, they come after the same run of it, and that has ended in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from wvflow.plan.dependencies import After, Alternatives
from wvflow.semantics import mistakes_of_dependencies as mistakes
from wvflow.semantics.dependencies import named_in, read_after
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import FlowDef

Ends: TypeAlias = Mapping[str, frozenset[str]]
"""By flow that runs surely come after, how the run of it may have ended."""


def check_can_meet(flows: Iterable[FlowDef], session: Session, is_here: Callable[[FlowDef], bool]) -> None:
    """Report flows that are here and never have runs to come after, as these would have to be of different origin."""
    with session.apart():
        headers = [(flow, read_after(flow, session)) for flow in flows]
    meetings = _Meetings(headers)
    for flow, after in headers:
        if after and is_here(flow) and (at_odds := meetings.at_odds(after)):
            names = [one.text for one in named_in(flow)]
            session.report(mistakes.never_together(names, at_odds, named_in(flow)[0].span))


class _Meetings:
    def __init__(self, headers: Iterable[tuple[FlowDef, Alternatives]]) -> None:
        self._after: dict[str, list[tuple[After, ...]]] = {}
        self._known: dict[str, Ends] = {}
        for flow, after in headers:
            self._after.setdefault(flow.name.text, []).extend(after or ((),))

    def at_odds(self, after: Alternatives) -> str:
        """A flow about which all that is named is at odds, ``""`` where something can be met."""
        found = [next((flow for flow, ends in self._of_all(several).items() if not ends), "") for several in after]
        return found[0] if all(found) else ""

    def _of_all(self, several: Iterable[After]) -> Ends:
        """What is sure of runs that are used together."""
        found: dict[str, frozenset[str]] = {}
        for one in several:
            for flow, ends in {**self._above(one.flow), one.flow: frozenset(one.states)}.items():
                found[flow] = found.get(flow, ends) & ends
        return found

    def _above(self, flow: str) -> Ends:
        """What a run of a flow surely came after."""
        if flow not in self._known:
            self._known[flow] = {}  # of flows in a circle
            each = [self._of_all(several) for several in self._after.get(flow, [()])]
            sure = [name for name in each[0] if all(name in one for one in each)]
            self._known[flow] = {name: frozenset().union(*(one[name] for one in each)) for name in sure}
        return self._known[flow]
