"""Use cases over runs: start, resume, cancel, list, read, clean. What every edge calls and no edge repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from wvflow.kernel.events import EpochMs
from wvflow.plan.nodes import Bundle, FlowRef
from wvflow.ports.store import LogRow, Recorded, RunRow, StageRow
from wvflow.service.summary import RunSummary

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.service.project import Project


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Something moved in a run that this process drives. ``stages``: the rows that changed. ``note``: a remark for
    people, such as what a task is waiting for."""

    run: RunRow
    stages: tuple[StageRow, ...] = ()
    note: str = ""


Watch = Callable[[Progress], None]


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What ``clean`` removed, or would remove."""

    runs: tuple[RunRow, ...]
    bytes: int


class Runs:
    """The runs of one project's state folder. Close it when done; it opens nothing before it must."""

    def __init__(self, project: Project) -> None:
        self.project = project

    async def run(
        self,
        bundle: Bundle,
        flow: FlowRef,
        params: Mapping[str, object],
        *,
        run_id: str | None = None,
        run_time: EpochMs | None = None,
        watch: Watch | None = None,
    ) -> RunSummary:
        """Start a run and drive it to its end. Cancelling this coroutine leaves the run resumable."""
        raise NotImplementedError

    async def resume(self, run: str, *, watch: Watch | None = None) -> RunSummary:
        """Carry on a run that nobody drives, or reopen one that ended badly, and drive it to its end.

        Raises: RunNotFound, NotPossible (it succeeded, was terminated, or a live process drives it).
        """
        raise NotImplementedError

    async def cancel(self, run: str, *, terminate: bool = False) -> RunSummary:
        """Ask a run to stop and wait until it has ended; drives it there itself when nobody else does."""
        raise NotImplementedError

    def find(self, run: str) -> RunRow:
        raise NotImplementedError

    def recent(self, *, flow: str = "", state: str = "", limit: int | None = 20) -> list[RunRow]:
        raise NotImplementedError

    def summary(self, run: str) -> RunSummary:
        raise NotImplementedError

    def events(self, run: str, after: int = 0) -> tuple[Recorded, ...]:
        raise NotImplementedError

    def logs(self, run: str, stage: str = "") -> list[LogRow]:
        raise NotImplementedError

    def output(self, run: str, stage: str = "") -> pa.RecordBatchReader:
        """The rows of a stage, default: of the flow's output.

        Raises: RunNotFound, OutputMissing (says where the rows were saved, if they were).
        """
        raise NotImplementedError

    def clean(self, *, older_than_ms: int | None = None, keep: int | None = None, dry_run: bool = False) -> Cleaned:
        """Delete ended runs with their outputs: those older than that, and all but the newest ``keep`` of each flow."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what was opened."""
