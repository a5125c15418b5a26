"""Runs that are driven in this process while their caller waits for their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from wvflow.kernel.values import variables
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.parameters import shown
from wvflow.service.instances import failed_instances
from wvflow.service.orders import Waiting
from wvflow.service.reading import Reading, yielding
from wvflow.service.retention import Retaining
from wvflow.service.summary import RunSummary, summarize

if TYPE_CHECKING:
    from wvflow.drivers.embedded.live import LiveRun
    from wvflow.drivers.embedded.loop import Driver


class Driving(Reading, Retaining):
    """Drives runs to their end."""

    async def _drive(
        self, run_id: str, plan: FlowPlan, begin: Callable[[Driver], None], turn: Waiting | None = None
    ) -> RunSummary:
        """Have a driver begin with a run, once it is its ``turn``, and wait for its end. Older runs of its flow go
        then, if it says so."""
        self._waited_for.add(run_id)
        try:
            async with self._drivers.using() as driver:
                run = await self._ended(driver, run_id, begin, turn)
                await driver.offspring(run_id)
            row = run.row()
            await self.let_go_before(row, plan)
            stages, failed = run.stage_rows(), failed_instances(run.state.stages)
            children, undoing = self.children(run_id), plan.compensations
            summary = summarize(row, stages, plan.declared, yielding(plan, stages), children, failed, undoing=undoing)
            facts = {"params": shown(plan.params, row.params), "variables": variables(plan, run.state)}
            return msgspec.structs.replace(summary, **facts, **self._uses(run_id))
        finally:
            self._waited_for.discard(run_id)

    async def _ended(
        self, driver: Driver, run_id: str, begin: Callable[[Driver], None], turn: Waiting | None
    ) -> LiveRun:
        """The run at its end. Where others were quicker to begin, it waits again."""
        from wvflow.drivers.embedded.loop import NoSlot

        while True:
            if turn is not None:
                await turn.until_its_turn(driver.token)
            begin(driver)
            try:
                return await driver.finished(run_id)
            except NoSlot:
                if turn is None:
                    raise
