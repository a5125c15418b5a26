"""Stages that run on a PostgreSQL server: rows go there and come back, saves take place once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wvflow.service.doctor import examine
from wvflow.service.project import load_project
from wvflow.testing import Sandbox

psycopg = pytest.importorskip("psycopg", reason="psycopg isn't installed (the extra `postgres`)")

PROJECT = """
[profile.default.connectors.shop]
engine = "postgres"
database = "${env:SHOP}"
"""
FLOW = """
flow F(most: int = 20) = {
  stage local = from [[1, '2024-02-29'], [2, null], [9, null]] as t(id, text) | select id, text::date as day
  stage joined on shop = from local | join orders on local.id = orders.id | where amount <= most
    | select orders.id, day, amount, info
  stage kept on shop = from joined | save to shop.copies
  stage added on shop = from joined | select id | append to log
  stage file on shop = from joined | select id, amount | save to 'out.csv'
  stage back depends on kept, added, file = from joined | agg amount.sum as total, id.count as n
}
"""
Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def server(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Query]:
    monkeypatch.setenv("SHOP", postgres_database)
    with psycopg.connect(postgres_database, autocommit=True) as connection:

        def query(text: str) -> list[tuple[Any, ...]]:
            found = connection.execute(text)
            return found.fetchall() if found.description else []

        query("create table orders (id bigint, amount numeric(9, 2), info jsonb)")
        query("""insert into orders values (1, 10.5, '{"a": 1}'), (2, 20, null), (3, 30, null)""")
        query("create table log (id bigint)")
        yield query


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    def make(flow: str) -> Path:
        (tmp_path / "wvflow.toml").write_text(PROJECT)
        (tmp_path / "f.wv").write_text(flow)
        return tmp_path / "f.wv"

    return make


def test_rows_go_there_and_come_back(project: Callable[[str], Path], server: Query, tmp_path: Path) -> None:
    with Sandbox(project(FLOW)) as one:
        result = one.run("F")
        assert result.error is None
        assert result.output is not None
        assert [(float(row["total"]), row["n"]) for row in result.output.to_pylist()] == [(30.5, 2)]
    copies = "select id, day::text, amount::text, info::jsonb->>'a' from shop.copies order by id"
    assert server(copies) == [(1, "2024-02-29", "10.50", "1"), (2, None, "20.00", None)]
    assert server("select id from log order by id") == [(1,), (2,)]
    assert sorted((tmp_path / "out.csv").read_text().split()) == ["1,10.50", "2,20.00", "id,amount"]


KEYED = """
flow F = {
  stage local = from [[1, 'a'], [2, 'b'], [2, 'c'], [3, 'd']] as t(id, note)
  stage done on shop with { idempotency_key: _.id } =
    from local join orders on local.id = orders.id | select orders.id, note, amount | append to log (id, note, amount)
    | add amount * 2 as twice | select id, note, twice
  stage whole on shop with { idempotency_key: _.n } = from orders | agg count() as n | append to log (id) | select n
  stage seen = from done | order by id, note
  stage both = merge seen, counted
  stage counted = from whole | select n as id, 'all' as note, 0.0 as twice
}
"""


def test_what_is_done_by_key_is_done_once_there_too(project: Callable[[str], Path], server: Query) -> None:
    server("alter table log add column note text, add column amount numeric(9, 2)")
    with Sandbox(project(KEYED)) as one:
        first, second = one.run("F"), one.run("F")
        for result in (first, second):
            assert result.error is None
            found = result.rows("seen").to_pylist()
            assert [(row["id"], row["note"], float(row["twice"])) for row in found] == [
                (1, "a", 21.0), (2, "b", 40.0), (2, "c", 40.0), (3, "d", 60.0),
            ]  # fmt: skip
        assert second.stages["done"].reused_keys == {first.run_id: 3}
        assert second.stages["whole"].reused_keys == {first.run_id: 1}
    assert server("select id, note from log order by 1, 2") == [(1, "a"), (2, "b"), (2, "c"), (3, "d"), (3, None)]


def test_a_stage_without_its_table_is_tried_again_and_then_fails(project: Callable[[str], Path], server: Query) -> None:
    with Sandbox(project("flow F = { stage a on shop [retries: 1] = from nowhere | count }")) as one:
        result = one.run("F")
    (stage,) = result.summary.stages
    assert (stage.state, stage.attempts) == ("failed", 2)
    assert "no table named `nowhere`" in str(result.error)


def test_what_its_sql_can_not_say_is_told_before_it_runs(project: Callable[[str], Path], server: Query) -> None:
    flow = "flow F = { stage a = select 1 as i stage b on shop = from a | asof join a as c on a.i >= c.i | count }"
    done = wvflow(project(flow).parent, "check", "f.wv")
    assert (done.returncode, "WV0315" in done.stderr + done.stdout) == (1, True)
    assert "can't be said in the SQL of postgres, where this stage runs" in done.stderr + done.stdout


def test_data_files_and_saves_by_key_and_partition_work_there(
    project: Callable[[str], Path], server: Query, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("id,amount\n2,25.5\n4,40\n")
    flow = """
    flow F(day: string) = {
      stage current on shop = from 'new.csv' as n where n.amount > 1 | select id, amount
        | save to orders with mode: 'merge', key: id
      stage history on shop = from 'new.csv' | save to shop.history with partition: day
      stage file on shop = from 'new.csv' | save to 'kept.csv' with mode: 'merge', key: id
      stage both on shop depends on current = from orders where id in {from 'new.csv' select id} | agg id.count as n
    }
    """
    with Sandbox(project(flow)) as one:
        for day in ("mo", "tu", "mo"):
            result = one.run("F", params={"day": day})
            assert result.error is None
            assert result.output is not None
    assert server("select id, amount::text, info from orders order by id") == [
        (1, "10.50", {"a": 1}),
        (2, "25.50", None),
        (3, "30.00", None),
        (4, "40.00", None),
    ]
    assert server("select day, count(*) from shop.history group by day order by day") == [("mo", 2), ("tu", 2)]
    assert (tmp_path / "kept.csv").read_text().split()[0] == "id,amount"
    assert len((tmp_path / "kept.csv").read_text().split()) == 3


def test_rows_are_deleted_there(project: Callable[[str], Path], server: Query) -> None:
    flow = """
    flow F = {
      stage gone = from [[2]] as t(id)
      stage x on shop = from orders where id in {from gone select id} | delete
      stage y on shop depends on x = from orders where id = 3 | delete
    }
    """
    with Sandbox(project(flow)) as one:
        assert one.run("F").error is None
    assert server("select id from orders") == [(1,)]


def test_views_are_computed_there(project: Callable[[str], Path], server: Query) -> None:
    flow = """
    flow F(least: int = 2) = {
      stage a = from [[1], [3]] as t(id)
      stage local with { materialize: view } = from a as l where l.id >= least
      stage large on shop with { materialize: view } = from orders as o where o.id >= least | select id
      stage joined on shop = from local join large on local.id = large.id | select local.id
      stage x on shop = merge large, local, joined
    }
    """
    with Sandbox(project(flow)) as one:
        result = one.run("F")
        assert result.error is None
        assert result.output is not None
        assert result.output.to_pydict() == {"id": [2, 3, 3, 3]}


VIEW = "with { materialize: view }"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (f"stage v {VIEW} = from t stage x on shop = from v", "what it reads is in the warehouse"),
        (f"stage v on shop {VIEW} = from t stage x = from v", "what it reads is on `shop`"),
        (f"stage v {VIEW} = from t stage w {VIEW} = from v stage x on shop = from w", "is in the warehouse"),
        (f"stage v {VIEW} = from 'a.csv' asof join [[1]] as t(i) on a.i >= t.i stage x on shop = from v", "asof"),
    ],
)
def test_a_view_is_only_read_where_it_can_be_computed(
    project: Callable[[str], Path], server: Query, stages: str, message: str
) -> None:
    done = wvflow(project(f"flow F = {{ {stages} }}").parent, "check", "f.wv")
    assert (done.returncode, message in done.stderr + done.stdout) == (1, True), done


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (
            "stage a on shop = from orders select id, amount\n"
            "stage x with { map: each } = from a as o add twice = o.amount * 2",
            [(1, "10.50", "21.00"), (2, "20.00", "40.00"), (3, "30.00", "60.00")],
        ),
        (
            "stage a = from [[3], [1]] as t(id)\n"
            "stage x on shop with { map: each } = from a join orders on a.id = orders.id | select orders.id, amount",
            [(3, "30.00"), (1, "10.50")],
        ),
        (
            "stage a on shop = from orders select id where id > 1\n"
            "stage x on shop with { map: a.id } = from _ as m join orders on orders.id = m.id | select m.id, amount",
            [(2, "20.00"), (3, "30.00")],
        ),
        (
            "stage a on shop = select [1, 3] as ids\n"
            "stage x on shop with { map: a.ids } = from orders join _ as m on m.ids = orders.id | select orders.id",
            [(1,), (3,)],
        ),
        (
            "stage a on shop = from orders select id where id > 9\n"
            "stage x on shop with { map: a.id } = from _ | agg _.count as n",
            [],
        ),
        (
            "stage x on shop with { map: each } = from orders as o | add more = o.id + 1 | select more",
            [(2,), (3,), (4,)],
        ),
    ],
)
def test_stages_are_mapped_over_rows_from_there_and_run_there(
    project: Callable[[str], Path], server: Query, stages: str, expected: object
) -> None:
    with Sandbox(project(f"flow F = {{ {stages} }}")) as one:
        result = one.run("F")
        assert result.error is None
        assert result.output is not None
        found = [
            tuple(str(v) if k in ("amount", "twice") else v for k, v in row.items())
            for row in result.output.to_pylist()
        ]
        assert found == expected


DYING = """
import os, signal, sys
from wvflow.cli.main import main
from wvflow.data.postgres.engine import PostgresEngine

query, target = PostgresEngine.query, sys.argv.pop()

def dying(self, job, stop):
    stored = query(self, job, stop)
    if stored.output.target == target:
        os.kill(os.getpid(), signal.SIGKILL)
    return stored

PostgresEngine.query = dying
main()
"""


def wvflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "wvflow", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("target", ["shop.copies", "log"])
def test_what_was_saved_before_a_kill_is_not_saved_again(
    project: Callable[[str], Path], server: Query, tmp_path: Path, target: str
) -> None:
    """The process dies when the server has committed and the journal doesn't know it yet."""
    project(FLOW)
    killed = subprocess.run(
        [sys.executable, "-c", DYING, "run", "f.wv", "--quiet", target], cwd=tmp_path, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    server(f"insert into {target} (id) values (77)")
    resumed = wvflow(tmp_path, "runs", "resume", "last", "--json")
    assert json.loads(resumed.stdout)["state"] == "success", resumed.stderr
    assert server(f"select id from {target} order by id") == [(1,), (2,), (77,)]


def test_doctor_tells_whether_the_server_answers(
    project: Callable[[str], Path], server: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project(FLOW)
    (there,) = [one for one in examine(lambda: load_project(path)) if one.name == "connector shop"]
    assert (there.level, "as wvflow" in there.value) == ("ok", True)
    monkeypatch.setenv("SHOP", "postgresql://me:hush@127.0.0.1:1/shop")
    (away,) = [one for one in examine(lambda: load_project(path)) if one.name == "connector shop"]
    assert (away.level, "does not answer" in away.value, "hush" in away.value) == ("error", True, False)
