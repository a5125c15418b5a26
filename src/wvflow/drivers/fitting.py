"""Which runs of several flows belong together: where two of them come after a flow, they come after one run of it.

So a diamond of flows meets again: what came of one run at its top is put together, whichever side is quicker. Runs that
have no flow in common before them go with each other as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from wvflow.ports.rows import RunRow

Origins: TypeAlias = Mapping[str, str]
"""By flow, the run of it that others came after."""


def fitting(several: Sequence[Sequence[RunRow]], origins: Mapping[str, Origins]) -> tuple[RunRow, ...] | None:
    """One run of each that go together, the first of each where they do; None where none do. ``origins``: what each
    came after, by its id."""
    return next(_together([_Runs(rows, origins) for rows in several], {}), None)


class _Runs:
    """Runs of one flow, in order, to be found by what they came after."""

    def __init__(self, rows: Sequence[RunRow], origins: Mapping[str, Origins]) -> None:
        self._rows = [(row, {**origins.get(row.run_id, {}), row.flow.flow: row.run_id}) for row in rows]
        self._by: dict[tuple[str, str | None], list[int]] = {}
        self._flows = dict.fromkeys(flow for _, before in self._rows for flow in before)
        for number, (_, before) in enumerate(self._rows):
            for flow in self._flows:
                self._by.setdefault((flow, before.get(flow)), []).append(number)

    def that_fit(self, chosen: Origins) -> Iterator[tuple[RunRow, Origins]]:
        """Those that go with what was chosen, in order."""
        for number in self._numbers(chosen):
            row, before = self._rows[number]
            if all(chosen.get(flow, run) == run for flow, run in before.items()):
                yield row, before

    def _numbers(self, chosen: Origins) -> Sequence[int]:
        shared = next((flow for flow in self._flows if flow in chosen), None)
        if shared is None:
            return range(len(self._rows))
        return sorted([*self._by.get((shared, chosen[shared]), ()), *self._by.get((shared, None), ())])


def _together(several: Sequence[_Runs], chosen: Origins) -> Iterator[tuple[RunRow, ...]]:
    if not several:
        yield ()
        return
    for row, before in several[0].that_fit(chosen):
        for rest in _together(several[1:], {**chosen, **before}):
            yield (row, *rest)
