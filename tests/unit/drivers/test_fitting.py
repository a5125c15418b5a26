"""Which runs of several flows go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wvflow.drivers.fitting import fitting
from wvflow.drivers.upstreams import found
from wvflow.kernel.events import EpochMs
from wvflow.plan.dependencies import After
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import FlowRef
from wvflow.ports.dependencies import ANY, Among
from wvflow.ports.rows import RunRow
from wvflow.store.memory import MemoryStore

PAIRS = {"b1": "a1", "b2": "a2", "c1": "a1", "c2": "a2"}
CASES = {
    "nothing in common": ("b1 b2 | c1 c2", {}, "b1 c1"),
    "none at all": ("b1 | ", {}, None),
    "the other side was quicker": ("b1 b2 | c2 c1", PAIRS, "b1 c1"),
    "the first has no partner": ("b1 b2 | c2 c3", {**PAIRS, "c3": "a3"}, "b2 c2"),
    "no two fit": ("b1 | c2", PAIRS, None),
    "one came after none, as its flow did not then": ("b1 | c3 c1", PAIRS, "b1 c3"),
    "one of them is what the other came after": ("a1 a2 | b2", PAIRS, "a2 b2"),
    "three of them": ("b1 b2 | c2 c1 | d2", {**PAIRS, "d2": "a2"}, "b2 c2 d2"),
}


def rows(names: str) -> list[RunRow]:
    """Runs named by their flow and a number."""
    return [
        RunRow(run_id=name, flow=FlowRef(name[0]), bundle="", state="success", run_time=EpochMs(0))
        for name in names.split()
    ]


@pytest.mark.parametrize(("several", "after", "chosen"), CASES.values(), ids=CASES)
def test_fitting(several: str, after: dict[str, str], chosen: str | None) -> None:
    origins = {run: {of[0]: of} for run, of in after.items()}
    chosen_rows = fitting([rows(one) for one in several.split("|")], origins)
    assert (None if chosen_rows is None else " ".join(row.run_id for row in chosen_rows)) == chosen


@given(st.data())
def test_they_are_the_first_that_agree_about_each_flow(data: st.DataObject) -> None:
    several = [rows(" ".join(f"{flow}{n}" for n in range(data.draw(st.integers(0, 4))))) for flow in "bcd"]
    before = st.dictionaries(st.sampled_from("xyb"), st.integers(0, 2).map(str))
    origins = {row.run_id: {f: f + n for f, n in data.draw(before).items()} for one in several for row in one}
    origins |= {row.run_id: {**origins[row.run_id], row.flow.flow: row.run_id} for one in several for row in one}

    def agree(chosen: tuple[RunRow, ...]) -> bool:
        every = [origins[row.run_id] for row in chosen]
        return all(len({one[flow] for one in every if flow in one}) < 2 for flow in "bcdxy")

    assert fitting(several, origins) == next(filter(agree, product(*several)), None)


def test_many_without_a_partner_do_not_hide_those_that_have_one() -> None:
    asked: list[int] = []

    class Ended(MemoryStore):
        def unused(
            self, project: str, flow: str, after: After, among: Among = ANY, *, limit: int | None = 1
        ) -> list[RunRow]:
            asked.append(limit or 0)
            first = {"b": 1, "c": 1_001}[after.flow]
            return rows(" ".join(f"{after.flow}{n}" for n in range(first, first + 1_500)))[:limit]

        def origins(self, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
            return {run: {"a": f"a{run[1:]}"} for run in run_ids}

    plan = FlowPlan("M", 1, (), (), (), after=((After("b"), After("c")),))
    chosen = found(Ended(), "/p", plan, but={"b1001"})
    assert chosen is not None
    assert [row.run_id for row in chosen] == ["b1002", "c1002"]
    assert sorted(set(asked)) == [2, 33, 257, 2_049]
