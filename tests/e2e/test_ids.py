"""New ids in flows: values of the run, the same whenever a task of it runs again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wvflow.kernel.state import RunState
from wvflow.kernel.values import run_values
from wvflow.plan.nodes import FlowPlan

FLOW = """
    val of_run = ulid_string
    def marked(x: long): string = s"${x}-${ulid_string}"
    model ids = { select a = ulid_string, b = ulid_string }
    flow F = {
      stage made = select one = ulid_string, other = ulid_string(), m = marked(1), v = of_run
      stage both = from ids as x cross join ids as y select x.a, x.b, c = y.a
      stage kept with { retries: 1, retry_delay: 1ms } = from made | told(key: ulid_string) | select v = of_run, key
    }
    """
ACTIVITIES = """
    from pathlib import Path
    import wvflow

    @wvflow.activity
    def told(rows, key: str):
        with Path(__file__).with_name("keys.txt").open("a+") as file:
            file.write(key + "\\n")
            file.seek(0)
            if len(file.readlines()) == 1:
                raise RuntimeError("once more")
        return [{"key": key}]
    """


def test_an_id_is_its_own_at_each_place_and_the_same_in_each_attempt(make_program: Any, tmp_path: Path) -> None:
    program = make_program(FLOW, ACTIVITIES)
    result = program.run("F")
    assert result.state == "success", result.summary
    (made,), (both,), (kept,) = (result.rows(stage).to_pylist() for stage in ("made", "both", "kept"))
    ids = [made["one"], made["other"], made["m"][2:], made["v"], both["a"], both["b"], both["c"], kept["key"]]
    assert len(set(ids)) == len(ids)
    assert {len(one) for one in ids} == {26}
    assert kept["v"] == made["v"]
    assert (tmp_path / "keys.txt").read_text().split() == [kept["key"]] * 2
    again = program.run("F").rows("made").to_pylist()
    assert not {*again[0].values()} & {*made.values()}


def test_the_same_run_has_the_same_ids_wherever_it_is_read() -> None:
    plan = FlowPlan(flow="F", version=1, params=(), stages=(), declared=())
    run = RunState(run_id="a", run_time=5, started_at=1_469_918_176_385)
    found = run_values(plan, run)["ulid_string_1"]
    assert found == run_values(plan, run)["ulid_string_1"]
    assert str(found).startswith("01ARYZ6S41")
    others = [
        run_values(plan, run)["ulid_string_2"],
        run_values(plan, RunState(run_id="b", started_at=run.started_at))["ulid_string_1"],
        run_values(plan, RunState(run_id="a", started_at=run.run_time))["ulid_string_1"],
    ]
    assert len({found, *others}) == 4
    assert "ulid_string" not in run_values(plan, run)
