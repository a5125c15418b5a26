"""What people are told of a run beside its rows: a line in its log, and a remark to who watches it."""

from __future__ import annotations

from wvflow.drivers.embedded.live import LiveRun
from wvflow.drivers.embedded.logbook import Logbook
from wvflow.kernel.commands import Notify
from wvflow.kernel.state import Phase
from wvflow.lang.durations import format_duration


def tell_of_lateness(run: LiveRun, notify: Notify, logbook: Logbook) -> None:
    """A deadline is over; what is late goes on."""
    if notify.stage is None:
        text = (
            f"late: not done within the flow's deadline of {format_duration(run.plan.deadline or 0)} from its run time"
        )
        logbook.writer(run.run_id, "", 0)("warning", text)
        run.tell(note=text, is_late=True)
        return
    here, stage = run.plan.stages[notify.stage], run.state.stages[notify.stage]
    text = f"late: not done within its deadline of {format_duration(here.deadline or 0)}"
    logbook.writer(run.run_id, here.name, stage.attempt)("warning", text)
    run.tell(note=text, noted=here.name, is_late=True)


def tell_of_hooks(run: LiveRun, logbook: Logbook) -> None:
    """A hook that failed changes nothing, and is logged."""
    for here, stage in zip(run.plan.stages, run.state.stages, strict=True):
        if here.hook is not None and stage.phase is Phase.FAILED and stage.failure is not None:
            what = f"{stage.failure.kind}: {stage.failure.message}"
            logbook.writer(run.run_id, here.name, stage.attempt)("error", what)
            run.tell(note=f"{here.name} failed: {what}")
