"""Dependencies, a part of the store's port: which runs came after which.

A run *uses* the runs of other flows that it comes after (flow language, section 5, "depends on"). It does so from the
transaction on by which it begins, or is to begin: a run that another one of the same flow has used conflicts there. So
each run of a flow is used once by each flow that comes after it, whoever starts that.

Where somebody sees to it that flows come after others (``attend``), the runs that these still want are kept
(``Ledger.kept_runs``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from wvflow.kernel.events import EpochMs, Window
from wvflow.plan.dependencies import After
from wvflow.ports.rows import RunRow


class Use(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run, and the flow that it is of. ``again``: a run that it was taken over from has used it before."""

    flow: str
    run_id: str
    again: bool = False


class Among(msgspec.Struct, frozen=True):
    """The runs among which one to come after is looked for: those that ended ``since`` then; ``about`` a window, those
    whose ``run_time`` lies behind its start and not behind its end; ``live``: none of a backfill."""

    since: int = 0
    about: Window | None = None
    live: bool = False


ANY: Final = Among()


class Dependencies(Protocol):
    """What came after what. Reading may raise Unavailable."""

    def unused(
        self, project: str, flow: str, after: After, among: Among = ANY, *, limit: int | None = 1
    ) -> list[RunRow]:
        """The runs that ``after`` is about and that no run of ``flow`` has used: those of the project that no run
        started and that have begun and ended; the one whose end was recorded first in front, of those about a window
        the one about the latest time, and of those about one time the one that ended last. ``limit``: so many, None
        for all. What it costs goes by how many they are, not by how many were used before them."""
        ...

    def origins(self, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """By run, all runs that it came after, those before these included: by flow, one of each. Of a run that came
        after none, none."""
        ...

    def uses(self, run_id: str) -> list[Use]:
        """The runs that a run came after, in order."""
        ...

    def attend(
        self, project: str, flows: Mapping[str, Sequence[After]], now: EpochMs, timed: Collection[str] = ()
    ) -> dict[str, EpochMs]:
        """Have these flows of a project come after others, and no more those that it did before and that are not among
        them. Returned is since when, by flow: ends count from then on. Of a flow that did so at any time before it is
        since that time; not of one that was ``timed`` then and isn't any more, which starts with every end from now on.
        """
        ...

    def users(self, run_id: str) -> list[Use]:
        """The runs that came after a run, the first in front."""
        ...
