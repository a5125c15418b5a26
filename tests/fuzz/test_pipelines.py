"""Pipelines of the whole grammar over tables with known columns run in DuckDB, or the checker says why not."""

from __future__ import annotations

from collections import Counter

import pytest
from fuzzing.amount import SHARDS, drawn
from fuzzing.grammar import Choose
from fuzzing.pipelines import Pipeline, World

FEW, MANY = 200, 40_000


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize("shard", SHARDS)
def test_a_pipeline_that_checks_is_one_that_duckdb_accepts(shard: int, world: World) -> None:
    steps: Counter[bool] = Counter()

    def accepted(choose: Choose) -> None:
        pipeline = Pipeline(world, choose)
        pipeline.grow()
        steps.update({True: pipeline.taken, False: len(pipeline.refused)})

    drawn(accepted, few=FEW, many=MANY, shard=shard)
    assert steps[True] > 2 * steps[False]  # most of them check, so that DuckDB has its say


@pytest.mark.parametrize(
    "text",
    [
        "from riders as r select name where r.age > 1",
        "from riders as r add x = 1 select r.*",
        "from riders as r rename age as years where r.age > 1",
        "from riders as r exclude age where r.age > 1",
        "from riders as r, trips as t select distinct r.id, t.trip where r.id = 1 and t.trip = 7",
        "from riders as r, trips as t limit 5 offset 1 select t.*",
        "from riders, trips group by zone agg n = metres.sum order by riders.zone, riders.fare.max",
        "from riders as r sample 5 where r.age > 1",
        "from riders, riders as r join trips as t on id group by zone",
        "from riders order by 'x', null, 2.5, cut, name",
        "from riders group by -1 agg _.count",
        "from riders select x = id join [[1]] as k(x) on x = 1 where x > 0",
        "from riders add trip = 1 join trips as t on trip = t.trip",
        "from riders select `odd name`(id), `select`(id)",
        "from riders cross join unnest([1, riders.id]) as u(id)",
        "from riders, trips pivot on zone in ('a')",
        "from riders sample 10 select distinct id dedup where riders.id = 1",
        "from trips as a left join trips as b on id rename id as key",
    ],
)
def test_a_pipeline_that_once_failed_is_accepted(text: str, world: World) -> None:
    made = world.understood(text)
    assert not made.refused, made.found
    world.accepted(made)


def test_what_duckdb_would_refuse_is_no_pipeline_that_checks(world: World) -> None:
    made = world.understood("from riders select zone")
    with pytest.raises(AssertionError):
        world.accepted(made._replace(selects=("SELECT nowhere FROM riders",)))
