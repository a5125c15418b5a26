"""Use cases that tell a run something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from wvflow.errors import CallFailed, NotPossible
from wvflow.plan.parameters import shown
from wvflow.ports.inbox import Message
from wvflow.ports.rows import RunRow
from wvflow.service.cleaning import TERMINAL
from wvflow.service.messages import PAUSED, Told, Updated, arguments, find_signal, find_update, send
from wvflow.service.state_folder import StateFolder


class Talking(StateFolder):
    """Tells runs something."""

    def signal(self, run: str, name: str, args: Mapping[str, object], *, texts: bool = False) -> Told:
        """Send a signal to a run; when this returns, it is recorded and will be delivered once. ``texts``: the
        arguments are texts, read as literals of their types.

        Raises: RunNotFound, UserError (no such signal, wrong arguments), NotPossible (it has ended), RunDamaged.
        """
        row = self._store.find(run)
        message = find_signal(self.plan(row), name, row.run_id)
        given = arguments(message, args, self.project.limits.signal_payload, texts=texts)
        owner = self._driver_of(row)
        send(self._store, self._clock, row, owner, "signal", Message(name, given))
        return Told(run_id=row.run_id, signal=name, args=shown(message.params, given), driven=owner is not None)

    def update(
        self,
        run: str,
        name: str,
        args: Mapping[str, object],
        *,
        texts: bool = False,
        held: Callable[[str], None] = lambda run_id: None,
    ) -> Updated:
        """Send an update to a run, and wait until whoever drives it has accepted it or not, and for the call that it
        ends with. ``texts`` as for a signal. ``held`` is told of the run, once, where that call waits in its pause.

        Raises: RunNotFound, UserError (no such update, wrong arguments), NotPossible (its `where` doesn't hold; the run
            has ended; no process drives it), CallFailed (it was accepted, and its call failed), RunDamaged.
        """
        row = self._store.find(run)
        plan = self.plan(row)
        update = find_update(plan, name, row.run_id)
        given = arguments(update, args, self.project.limits.signal_payload, texts=texts)
        owner = self._driver_of(row)
        if owner is None and row.state not in TERMINAL:
            raise NotPossible(
                f"no process drives run {row.run_id}, so nobody can accept the update",
                help=f"carry on with `wvflow runs resume {row.run_id}`",
            )
        changes = self.changes(row.run_id)
        next(changes)  # follows from here on
        message = send(self._store, self._clock, row, owner, "update", Message(name, given))
        answer = self._store.answer(message)
        while answer is None:
            seen = next(changes)
            answer = self._store.answer(message)  # asked behind the look at the run, which may have ended upon it
            if answer is None:
                self._check_answerable(seen)
                if seen.state == PAUSED and update.call is not None:
                    held(row.run_id)
                    held = _told
        if answer.refused:
            raise NotPossible(f"run {row.run_id} refuses the update {name}: {answer.refused}")
        if (failure := answer.failure) is not None:
            raise CallFailed(row.run_id, name, f"{failure.kind}: {failure.message}")
        result = answer.value if answer.called else shown(plan.variables, answer.result)
        told = shown(update.params, given)
        return Updated(run_id=row.run_id, update=name, args=told, result=result, called=answer.called)

    def _check_answerable(self, row: RunRow) -> None:
        if row.state in TERMINAL:
            raise NotPossible(f"run {row.run_id} has ended before it answered the update: {row.state}")
        if self._driver_of(row) is None:
            raise NotPossible(
                f"the process that drove run {row.run_id} died before it answered the update",
                help="the update is kept, and dealt with by the next one that drives the run",
            )

    def pause(self, run: str) -> Told:
        """Have nothing new of a run begin. Raises: RunNotFound, NotPossible (it has ended), RunDamaged."""
        return self._set_paused(self._store.find(run), "pause")

    def unpause(self, run: str) -> Told | None:
        """Have a paused run go on. None where that is left to ``resume``, as nobody drives it.

        Raises: RunNotFound, NotPossible (it has ended), RunDamaged.
        """
        row = self._store.find(run)
        pending = [one.kind for one in self._store.inbox([row.run_id]) if one.kind in ("pause", "resume")]
        paused = pending[-1] == "pause" if pending else row.state == PAUSED
        if not paused or row.state in TERMINAL:
            return None
        told = self._set_paused(row, "resume")
        return told if told.driven else None

    def _set_paused(self, row: RunRow, kind: Literal["pause", "resume"]) -> Told:
        owner = self._driver_of(row)
        send(self._store, self._clock, row, owner, kind)
        return Told(run_id=row.run_id, signal=kind, args={}, driven=owner is not None)


def _told(run_id: str) -> None:
    """Nothing more is said of it."""
