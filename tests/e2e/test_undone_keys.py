"""What was done key by key is undone key by key (flow language, sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after

ACTIVITIES = """
from pathlib import Path
from wvflow import ActivityContext, NonRetryable, activity

def told(what: str, rows: list[dict], key: object) -> None:
    with Path(__file__).with_name("notes").open("a") as file:
        for row in rows:
            file.write(f"{what} {row['id']} {row.get('receipt')} {key}\\n")

def refused(what: str) -> bool:
    return Path(__file__).with_name(f"refuse {what}").exists()

@activity
def charge(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    if rows[0]["id"] == "poor" or refused(f"charge {rows[0]['id']}"):
        raise NonRetryable("no money")
    told("charge", rows, ctx.idempotency_key)
    return [{**row, "receipt": f"R-{row['id']}"} for row in rows]

@activity
def once_more(rows: list[dict]) -> list[dict]:
    return [{**row, "n": row["n"] + 1} for row in rows]

@activity
def tell(rows: list[dict]) -> list[dict]:
    if rows[0]["id"] == "deaf":
        raise NonRetryable("nobody listens")
    return rows

@activity
def refund(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    if refused(f"refund {rows[0]['id']}"):
        raise NonRetryable("the bank is closed")
    told("refund", rows, ctx.idempotency_key)
    return rows

@activity
def ship(rows: list[dict]) -> None:
    if refused("ship"):
        raise NonRetryable("no truck")
"""
Make = Callable[[str], Sandbox]
KEY = "idempotency_key: _.id"


def pays(config: str = KEY, body: str = "charge()", undo: str = "refund") -> str:
    return f"""
        flow F = {{
          stage pay with {{ compensate: {undo}, {config} }} = from 'orders.csv' | {body}
          stage sent = from pay | ship()
        }}
    """


class Notes:
    """What the activities of a sandbox wrote down, and what they refuse to do."""

    def __init__(self, sandbox: Sandbox, orders: str, *refused: str) -> None:
        self.folder = Path(sandbox.program.project.root)
        self.order(orders)
        for what in refused:
            self.refuse(what)

    def order(self, orders: str) -> None:
        (self.folder / "orders.csv").write_text("\n".join(["id", *orders.split(), ""]))

    def refuse(self, what: str) -> None:
        (self.folder / f"refuse {what}").touch()

    def allow(self, what: str) -> None:
        (self.folder / f"refuse {what}").unlink()

    def take(self, *, keys: bool = False) -> list[str]:
        """What was noted since the last time."""
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines if keys else [" ".join(line.split()[:3]) for line in lines]


def undone(result: RunResult) -> tuple[str, list[str | None]]:
    return result.state, [one.compensation for one in result.summary.stages if one.stage == "pay"]


def test_each_key_is_undone_with_its_own_rows_the_newest_first_and_is_then_free(make: Make) -> None:
    sandbox = make(pays())
    notes = Notes(sandbox, "a b b c", "ship")
    first = sandbox.run("F")
    assert undone(first) == ("failed", ["success"])
    found = notes.take(keys=True)
    assert [line.rsplit(" ", 1)[0] for line in found] == [
        *["charge a None", "charge b None", "charge b None", "charge c None"],
        *["refund c R-c", "refund b R-b", "refund b R-b", "refund a R-a"],
    ]
    keys = [line.rsplit(" ", 1)[1] for line in found]
    assert keys[:4] == ["a", "b", "b", "c"]
    assert [key.rpartition("/")[0] for key in keys[4:]] == ["c/undo", "b/undo", "b/undo", "a/undo"]
    notes.allow("ship")
    second = sandbox.run("F")
    assert (second.state, second.stages["pay"].reused_keys) == ("success", None)
    assert len(notes.take()) == 4
    assert sandbox.run("F").stages["pay"].reused_keys == {second.run_id: 3}


def test_what_another_run_did_is_not_undone(make: Make) -> None:
    sandbox = make(pays())
    notes = Notes(sandbox, "a b")
    sandbox.run("F")
    notes.refuse("ship")
    for orders, expected in (("a b c", ["charge c None", "refund c R-c"]), ("a b", [])):
        notes.take()
        notes.order(orders)
        result = sandbox.run("F")
        assert undone(result) == ("failed", ["success" if expected else None])
        assert notes.take() == expected


FAILURES = [
    # keys, configuration and body of the stage, what is noted, whether anything was undone
    pytest.param("a poor z", KEY, "charge()", ["charge a", "charge z", "refund z", "refund a"], id="an error"),
    pytest.param("poor", KEY, "charge()", [], id="nothing but errors"),
    pytest.param(
        "a poor", f"{KEY}, compensate_on: attempt", "charge()", ["charge a", "refund poor", "refund a"], id="on errors"
    ),
    pytest.param("a deaf", KEY, "charge() | tell()", ["charge a", "charge deaf", "refund deaf", "refund a"], id="half"),
    pytest.param("a deaf", KEY, "tell() | charge()", ["charge a", "refund a"], id="an error of the first call"),
    pytest.param(
        "a poor", f"map: each, {KEY}", "charge()", ["charge a", "refund a"], id="instances with keys of their own"
    ),
    pytest.param("poor", f"map: each, {KEY}", "charge()", [], id="instances of which none did anything"),
    pytest.param("a b", "idempotency_key: 'x'", "charge()", ["charge a", "charge b", "refund a", "refund b"], id="one"),
]


@pytest.mark.parametrize(("keys", "config", "body", "expected"), FAILURES)
def test_the_keys_are_undone_for_which_anything_was_done(
    make: Make, keys: str, config: str, body: str, expected: list[str]
) -> None:
    sandbox = make(pays(config, body))
    notes = Notes(sandbox, keys, "ship")
    result = sandbox.run("F")
    assert [" ".join(line.split()[:2]) for line in notes.take()] == expected
    assert undone(result) == ("failed", ["success" if expected else None])


def test_a_run_whose_keys_were_all_refused_goes_on(make: Make) -> None:
    sandbox = make(pays())
    notes = Notes(sandbox, "a", "charge a")
    result = sandbox.run("F")
    assert undone(result) == ("failed", [None])
    notes.allow("charge a")
    notes.refuse("ship")
    resumed = sandbox.resume(result)
    assert undone(resumed) == ("failed", ["success"])
    with pytest.raises(NotPossible, match="what it did has been undone"):
        sandbox.resume(resumed)


def test_of_a_call_that_took_too_long_nobody_knows(make: Make) -> None:
    sandbox = make(pays(f"{KEY}, timeout: 1h"))
    Notes(sandbox, "a b")
    sandbox.fake("charge", [{"id": "a", "receipt": "R-a"}], after("2h"))
    refund = sandbox.fake("refund", None)
    assert undone(sandbox.run("F")) == ("failed", ["success"])
    assert [call.rows.to_pylist() for call in refund.calls] == [[{"id": "b"}], [{"id": "a", "receipt": "R-a"}]]


def test_what_undoes_a_key_is_tried_again_for_that_key_alone_and_goes_on_at_its_step(make: Make) -> None:
    text = pays(undo="undo").replace(
        "stage sent", "stage undo = from _ as p | refund() | add 1 as n | tell()  stage sent"
    )
    sandbox = make(text)
    notes = Notes(sandbox, "a b", "ship")
    tell = sandbox.fake("tell", None, OSError("busy"), OSError("busy"), None)
    result = sandbox.run("F")
    assert undone(result) == ("failed", ["success"])
    assert [line for line in notes.take() if line.startswith("refund")] == ["refund b R-b", "refund a R-a"]
    assert len(tell.calls) == 4
    assert result.summary.compensations[0].attempts == 3


def test_a_key_that_can_not_be_undone_keeps_none_of_the_others(make: Make) -> None:
    sandbox = make(pays())
    notes = Notes(sandbox, "a b c", "ship", "refund b")
    result = sandbox.run("F")
    assert undone(result) == ("failed", ["compensation_failed"])
    assert [line for line in notes.take() if line.startswith("refund")] == ["refund c R-c", "refund a R-a"]
    assert "key `b`: the bank is closed (1 of 3 keys failed)" in str(result.summary.error)


def test_large_rows_of_a_key_are_kept_until_they_are_undone(make: Make) -> None:
    sandbox = make("""
        flow F = {
          stage orders = from range(9000) as t(n) | select 'a long text about an order' as id, n
          stage pay with { compensate: refund, idempotency_key: _.id, timeout: 1h } = from orders | charge()
        }
    """)
    sandbox.fake("charge", after("2h"))
    refund = sandbox.fake("refund", None)
    assert undone(sandbox.run("F")) == ("failed", ["success"])
    assert [call.rows.num_rows for call in refund.calls] == [9000]


def test_work_that_was_undone_is_not_reused(make: Make) -> None:
    sandbox = make("""
        flow F = {
          stage orders = from [['a']] as t(id)
          stage pay with { compensate: refund, cache: inputs } = from orders | tell()
          stage sent = from pay | ship()
        }
    """)
    notes = Notes(sandbox, "a", "ship")
    done, refund = sandbox.fake("tell", [{"id": "a"}]), sandbox.fake("refund", None)
    sandbox.run("F")
    notes.allow("ship")
    assert (sandbox.run("F").state, len(done.calls), len(refund.calls)) == ("success", 2, 1)
    notes.refuse("ship")
    assert undone(sandbox.run("F")) == ("failed", [None])
    assert (len(done.calls), len(refund.calls)) == (2, 1)


def test_what_each_iteration_did_for_a_key_is_undone_the_newest_first(make: Make) -> None:
    body = "add 0 as n | while _.n < 2 | once_more()"
    sandbox = make(pays(body=body))
    Notes(sandbox, "a b", "ship")
    refund = sandbox.fake("refund", None)
    assert undone(sandbox.run("F")) == ("failed", ["success"])
    rows = [call.rows.to_pylist()[0] for call in refund.calls if call.rows is not None]
    assert [(row["id"], row["n"]) for row in rows] == [("b", 2), ("a", 2), ("b", 1), ("a", 1)]
