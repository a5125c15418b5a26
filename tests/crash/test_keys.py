"""What is done once for each key, in processes that are killed at any of their writes, or that race."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from payments import PAYMENTS, REFUNDED, Service, Shop, serving
from straining import STRAIN

DEATHS = int(os.environ.get("WVFLOW_DEATHS", "200" if STRAIN else "6"))
SEED = int(os.environ.get("WVFLOW_SEED", "0")) or random.randrange(1, 1 << 32)
AGAIN = f"to see it again: WVFLOW_SEED={SEED} WVFLOW_DEATHS={DEATHS}"

FLOW = """
flow Pay(day: string = 'mon') = {
  stage charge with { idempotency_key: day } = from [[1]] as t(n) | charge()
}
"""
SHOP = """
flow Pay(day: string = 'mon') with { idempotency_key: day } = { stage charge = from [[1]] as t(n) | charge() }
flow Shop = { stage a = call Pay() }
"""
ACTIVITIES = """
import sys
from pathlib import Path
from wvflow import ActivityContext, activity

HERE = Path(__file__).parent

@activity
def charge(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    with open(HERE / "calls.txt", "a") as file:
        file.write(f"{ctx.idempotency_key}\\n")
    print("charging", file=sys.__stdout__, flush=True)
    with open(HERE / "gate"):
        pass
    return [{"by": ctx.run_id}]
"""


def charge(tmp_path: Path, service: Service, died: Callable[[Shop], None]) -> Counter[str]:
    """Have projects charge until their processes have died so often; the keys of all of them."""
    chance, deaths, keys = random.Random(SEED), 0, Counter[str]()
    with serving(service) as url:
        for number in range(DEATHS):
            shop = Shop(tmp_path / f"shop{number}", url, service)

            def count(shop: Shop = shop) -> None:
                nonlocal deaths
                deaths += 1
                died(shop)

            shop.run_until_done(chance, count)
            keys.update(shop.keys)
            assert sorted(row["id"] for row in shop.receipts()) == shop.keys, AGAIN
            if deaths >= DEATHS:
                break
    assert deaths >= DEATHS, AGAIN
    return keys


def test_a_service_that_knows_keys_charges_each_once_however_often_the_process_dies(tmp_path: Path) -> None:
    service = Service(honours=True)
    keys = charge(tmp_path, service, lambda shop: None)
    assert service.counts == keys, AGAIN
    assert len(keys) >= PAYMENTS


def test_what_was_charged_is_refunded_once_for_each_key_however_often_the_process_dies(tmp_path: Path) -> None:
    service, chance, deaths = Service(honours=True), random.Random(SEED), [0]
    charged, refunded = Counter[str](), Counter[str]()

    def died() -> None:
        deaths[0] += 1

    with serving(service) as url:
        while deaths[0] < DEATHS:
            shop = Shop(tmp_path / f"shop{len(charged)}", url, service, REFUNDED)
            shop.run_until_done(chance, died)
            charged.update(shop.keys)
            refunded.update(shop.keys if shop.is_undone() else ())  # else the refund was lost too often
    assert service.counts == charged, AGAIN
    assert refunded <= Counter(service.refunds) <= charged, AGAIN


def test_one_that_knows_none_charges_again_exactly_what_was_not_written_when_the_process_died(tmp_path: Path) -> None:
    service = Service(honours=False)
    lost: Counter[str] = Counter()

    def died(shop: Shop) -> None:
        assert len(shop.lost) <= 1, AGAIN
        lost.update(shop.lost)

    keys = charge(tmp_path, service, died)
    assert service.counts == keys + lost, (service.counts - keys, lost, AGAIN)


def test_of_two_processes_one_does_it_and_the_other_waits_for_what_comes_of_it(new_project: Any) -> None:
    project = new_project(FLOW.replace("with { ", "with { map: each, "), ACTIVITIES, "gate")
    first = project.start("run", "chain.wv", "--json", "--run-id", "one")
    assert first.stdout.readline().strip() == "charging"
    second = project.start("run", "chain.wv", "--run-id", "two")
    second.says("waits for run one, which is at the same key")
    for asked, count in ("charge", 2), ("charge[1]", 1):
        (stage,) = project.json("runs", "explain", "two", asked)["stages"]
        assert "run one is at the key `mon`" in stage["unmet"][0]["condition"]
        assert len(stage["unmet"]) == count
    project.open_gate("gate")
    assert first.wait(60) == 0
    assert second.wait(60) == 0
    assert project.calls == {"mon": 1}
    stage, *_ = project.json("runs", "show", "two")["stages"]
    assert stage["reused_keys"] == {"one": 1}
    assert json.loads(project.wvflow("runs", "output", "two", "--format", "json").stdout) == {"by": "one"}


def test_what_a_killed_process_was_at_another_run_does_with_the_same_key(new_project: Any) -> None:
    project = new_project(FLOW, ACTIVITIES, "gate")
    first = project.start("run", "chain.wv", "--json", "--run-id", "one")
    assert first.stdout.readline().strip() == "charging"
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    second = project.start("run", "chain.wv", "--json", "--run-id", "two")
    assert second.stdout.readline().strip() == "charging"
    project.open_gate("gate")
    assert second.wait(60) == 0
    resumed = project.wvflow("runs", "resume", "one", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert project.calls == {"mon": 2}
    assert json.loads(resumed.stdout)["stages"][0]["reused_keys"] == {"two": 1}


def test_of_two_processes_that_start_a_run_for_a_key_one_does_and_a_dead_ones_is_carried_on(new_project: Any) -> None:
    project = new_project(FLOW, ACTIVITIES, "gate")
    first = project.start("run", "chain.wv", "--key", "k", "--run-id", "one")
    assert first.stdout.readline().strip() == "charging"
    second = project.start("run", "chain.wv", "--key", "k", "--json")
    second.says("run an earlier call has started it, for the key `k`")
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    assert second.stdout.readline().strip() == "charging"
    project.open_gate("gate")
    out, chatter = second.communicate(timeout=60)
    assert second.returncode == 0, chatter
    assert (json.loads(out)["run_id"], json.loads(out)["by_key"]) == ("one", "k")
    assert project.calls == {"mon": 2}


def test_who_waits_for_the_run_that_has_the_key_of_its_child_carries_it_on_when_its_process_dies(
    new_project: Any,
) -> None:
    project = new_project(SHOP, ACTIVITIES, "gate")
    first = project.start("run", "chain.wv", "Pay", "--run-id", "one")
    assert first.stdout.readline().strip() == "charging"
    second = project.start("run", "chain.wv", "Shop", "--run-id", "two", "--json")
    second.says("waits for run one, which has the same key")
    told = project.wvflow("runs", "explain", "two").stdout
    assert "run one of Pay, running, which has the same key: wvflow runs explain one" in told
    assert project.json("runs", "show", "two")["stages"][0]["waits_for"] == "run one of Pay, which has the same key"
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    assert second.stdout.readline().strip() == "charging"
    project.open_gate("gate")
    out, chatter = second.communicate(timeout=60)
    assert second.returncode == 0, chatter
    assert json.loads(out)["stages"][0]["reused_keys"] == {"one": 1}
    assert [run["run_id"] for run in project.json("runs", "list")] == ["two", "one"]
