"""Trigger rules: whether a stage runs, decided by how many of its upstreams ended how.

A rule sees a tally and never the upstreams themselves, so deciding costs the same for one upstream as for a thousand.
It is asked each time an upstream ended. It says that it holds only once every upstream is terminal, so a stage's
input never depends on who was faster; that it can no longer hold it says as soon as that is certain. A stage without
upstreams is asked once, at the start.

Source: flow language, section 2, "Trigger rules".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from wvflow.errors import Bug
from wvflow.kernel.state import Phase, Tally


class Verdict(NamedTuple):
    """``reason``: why the rule can no longer hold; ``""`` while it can."""

    holds: bool = False
    reason: str = ""


WAITS = Verdict()
HOLDS = Verdict(holds=True)
Rule = Callable[[Tally, int], Verdict]


def all_success(tally: Tally, upstreams: int) -> Verdict:
    """Every upstream succeeded.

    >>> all_success(Tally(success=1), upstreams=2)
    Verdict(holds=False, reason='')
    >>> all_success(Tally(failed=1), upstreams=2).reason
    'upstream_failed'
    """
    if tally.failed:
        return Verdict(reason="upstream_failed")
    if tally.skipped:
        return Verdict(reason="upstream_skipped")
    if tally.cancelled:
        return Verdict(reason="upstream_cancelled")
    return HOLDS if tally.success == upstreams else WAITS


RULES: Mapping[str, Rule] = MappingProxyType({"all_success": all_success})


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
