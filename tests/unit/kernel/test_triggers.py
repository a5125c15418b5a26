"""Triggers against the table of the language reference, for all ways in which up to four upstreams can end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement, permutations, product

import pytest

from playing import play
from wvflow.kernel.events import EpochMs, Output, RunStarted, TaskSucceeded
from wvflow.kernel.state import Phase, Tally
from wvflow.kernel.triggers import RULES, Verdict, heard, judge, tally_of, truth
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import (
    FAILURE_RULES,
    AllOf,
    AnyOf,
    Condition,
    Fallback,
    FlowPlan,
    Negation,
    Rule,
    StagePlan,
    StateIs,
    Trigger,
)
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import QueryTask

ENDS = (Phase.SUCCESS, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED)
S, F, K, C = ENDS

# The table, word for word, over the list of how all upstreams ended.
TABLE: dict[Rule, Callable[[Sequence[Phase]], bool]] = {
    "all_success": lambda ended: all(one is S for one in ended),
    "one_success": lambda ended: any(one is S for one in ended),
    "one_failed": lambda ended: any(one is F for one in ended),
    "one_done": lambda ended: any(one in (S, F) for one in ended),
    "none_failed": lambda ended: not any(one in (F, C) for one in ended),
    "none_failed_min_one_success": lambda ended: not any(one in (F, C) for one in ended) and S in ended,
    "none_skipped": lambda ended: K not in ended,
    "all_failed": lambda ended: all(one is F for one in ended),
    "all_skipped": lambda ended: all(one is K for one in ended),
    "all_done": lambda ended: True,
    "always": lambda ended: True,
}
MULTISETS = [ended for count in range(1, 5) for ended in combinations_with_replacement(ENDS, count)]


def stage(count: int, trigger: Trigger, chains: tuple[tuple[int, ...], ...] = ()) -> StagePlan:
    upstreams = tuple(StageId(index) for index in range(count))
    return StagePlan("x", (), upstreams, trigger=trigger, chains=chains)  # type: ignore[arg-type]


def told(here: StagePlan, ends: Sequence[Phase], order: Sequence[int]) -> list[Verdict]:
    """What the trigger says after each end, in this order."""
    phases = [Phase.ATTEMPTING] * len(ends)
    tally, verdicts = Tally(), []
    for index in order:
        phases[index] = ends[index]
        tally = heard(here, tally, StageId(index), phases.__getitem__)
        assert tally == tally_of(here, phases.__getitem__)
        verdicts.append(judge(here, tally, phases.__getitem__))
    return verdicts


def still_open(rule: Rule, seen: Sequence[Phase], missing: int) -> bool:
    """Whether some way in which the others may end meets the rule."""
    return any(TABLE[rule]([*seen, *rest]) for rest in product(ENDS, repeat=missing))


@pytest.mark.parametrize("rule", TABLE)
def test_a_rule_holds_as_the_table_says_for_every_multiset_of_ends(rule: Rule) -> None:
    here = {count: stage(count, Trigger(rule)) for count in range(1, 5)}
    for ended in MULTISETS:
        for order in permutations(range(len(ended))):
            verdicts = told(here[len(ended)], ended, order)
            assert verdicts[-1].holds == TABLE[rule](ended), ended
            for known, verdict in enumerate(verdicts, 1):
                seen = [ended[index] for index in order[:known]]
                assert verdict.holds <= (known == len(ended)), "it waits for all"
                assert bool(verdict.reason) == (not still_open(rule, seen, len(ended) - known)), (seen, verdict)


@pytest.mark.parametrize("rule", ["one_success", "one_failed", "one_done"])
def test_an_eager_rule_holds_at_the_first(rule: Rule) -> None:
    for ended in MULTISETS:
        verdicts = told(stage(len(ended), Trigger(rule, eager=True)), ended, range(len(ended)))
        first = next((index for index in range(len(ended)) if TABLE[rule](ended[: index + 1])), None)
        assert [verdict.holds for verdict in verdicts].index(True) == first if first is not None else True
        assert verdicts[-1].holds == (first is not None)


def test_the_reason_names_what_broke_the_rule() -> None:
    cases = [
        ("all_success", [S, F], "upstream_failed"),
        ("all_success", [K], "upstream_skipped"),
        ("none_failed", [C, S], "upstream_cancelled"),
        ("none_skipped", [K], "upstream_skipped"),
        ("all_failed", [S], "trigger"),
        ("one_success", [F, F], "trigger"),
        ("one_failed", [S], "trigger"),
    ]
    for rule, ended, reason in cases:
        assert told(stage(len(ended), Trigger(rule)), ended, range(len(ended)))[-1] == Verdict(reason=reason)


def test_every_rule_is_in_the_table() -> None:
    assert set(RULES) == set(TABLE)


def test_the_rules_that_a_failure_can_meet_are_those_that_say_so() -> None:
    met = [
        rule
        for rule, wants in RULES.items()
        if "failed" not in wants.forbids and (wants.needs or {"failed"}) >= {"failed"}
    ]
    assert sorted(met) == sorted(FAILURE_RULES)


# --- conditions -----------------------------------------------------------------------------------------------------

STATES = {"success": {S}, "failed": {F}, "skipped": {K}, "cancelled": {C}, "done": {S, F, K, C}}
A, B = StageId(0), StageId(1)
LEAVES = [StateIs(one, state) for one in (A, B) for state in STATES]  # type: ignore[arg-type]
CONDITIONS: list[Condition] = [
    *LEAVES,
    *map(Negation, LEAVES),
    *[AllOf(pair) for pair in product(LEAVES, LEAVES)],
    *[AnyOf(pair) for pair in product(LEAVES, LEAVES)],
    *[Negation(AnyOf((left, AllOf((right, Negation(left)))))) for left, right in product(LEAVES, LEAVES)],
]


def expected(condition: Condition, ends: Sequence[Phase]) -> bool:
    match condition:
        case StateIs(stage=one, state=state):
            return ends[one] in STATES[state]
        case Negation(operand=operand):
            return not expected(operand, ends)
        case AllOf(operands=operands):
            return all(expected(one, ends) for one in operands)
        case AnyOf(operands=operands):
            return any(expected(one, ends) for one in operands)


def test_a_condition_decides_about_the_stages_that_it_names() -> None:
    for condition in CONDITIONS:
        here = stage(2, Trigger(condition=condition, named=(A, B)))
        for ends in product(ENDS, repeat=2):
            for order in ((0, 1), (1, 0)):
                first, last = told(here, ends, order)
                assert last.holds == expected(condition, ends)
                assert bool(last.reason) == (not last.holds)
                assert not first.holds
                open_ends = [[ends[0]] if order[0] == 0 else ENDS, [ends[1]] if order[0] == 1 else ENDS]
                if first.reason:
                    assert not any(expected(condition, both) for both in product(*open_ends))


@pytest.mark.parametrize("other", ENDS)
def test_every_upstream_that_a_condition_does_not_name_must_have_succeeded(other: Phase) -> None:
    here = stage(2, Trigger(condition=StateIs(A, "failed"), named=(A,)))
    assert told(here, [F, other], (0, 1))[-1].holds == (other is S)
    assert told(here, [F, other], (1, 0))[-1].holds == (other is S)


def test_what_is_not_over_leaves_a_condition_open() -> None:
    phases = [Phase.ATTEMPTING, F]
    assert truth(AnyOf((StateIs(A, "success"), StateIs(B, "failed"))), phases.__getitem__) is True
    assert truth(AllOf((StateIs(A, "success"), StateIs(B, "failed"))), phases.__getitem__) is None
    assert truth(AllOf((StateIs(A, "success"), StateIs(B, "success"))), phases.__getitem__) is False


# --- fallbacks in a fan-in ------------------------------------------------------------------------------------------


def test_a_fallback_of_two_makes_one_upstream_of_each() -> None:
    here = stage(3, Trigger(), chains=((0, 2), (1, 2)))
    for order in permutations(range(3)):
        assert told(here, [F, F, S], order)[-1].holds
        assert told(here, [S, S, K], order)[-1].holds
        assert told(here, [F, S, F], order)[-1].reason == "upstream_failed"


@pytest.mark.parametrize(
    ("ends", "unit"),
    [
        ((S, K, K), S),
        ((K, K, K), K),
        ((C, K, K), C),
        ((F, S, K), S),
        ((F, F, S), S),
        ((F, F, F), F),
        ((F, K, K), F),
        ((F, C, K), F),
    ],
)
def test_a_stage_and_its_fallbacks_are_one_upstream(ends: Sequence[Phase], unit: Phase) -> None:
    here = stage(4, Trigger(), chains=((0, 1, 2),))
    for order in permutations(range(4)):
        assert told(here, [*ends, S], order)[-1].holds == (unit is S)
        counts = told(stage(3, Trigger("all_failed"), chains=((0, 1, 2),)), ends, [i for i in order if i < 3])
        assert counts[-1].holds == (unit is F)


def test_a_stage_and_its_fallback_that_end_at_once_count_as_one_upstream() -> None:
    """The fallback of what succeeds is skipped by the same event; what reads both waits for the others all the same."""
    query, (a, b, c, d) = (QueryTask(Single()),), tuple(map(StageId, range(4)))
    on_failure = Trigger(condition=StateIs(a, "failed"), named=(a,))
    plan = FlowPlan(
        "F",
        1,
        (),
        (
            StagePlan("a", query, readers=(b, d), fallbacks=(Fallback(b, declared=True),)),
            StagePlan("b", query, (a,), (d,), trigger=on_failure, controls=(a,)),
            StagePlan("c", query, readers=(d,)),
            StagePlan("d", query, (a, b, c), chains=((a, b),)),
        ),
        (a, b, c, d),
    )
    start = RunStarted(EpochMs(0), "r", EpochMs(0), token=1)
    state, _ = play(plan, start, TaskSucceeded(EpochMs(1), a, 0, 1, Output("rows")))
    assert [one.phase for one in state.stages] == [Phase.SUCCESS, Phase.SKIPPED, Phase.QUEUED, Phase.PENDING]
