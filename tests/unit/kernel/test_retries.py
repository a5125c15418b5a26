"""Back-off is exact: compared with plain fractions."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wvflow.kernel.events import Failure
from wvflow.kernel.retries import MILLION, backoff, jittered, may_retry, retry_delay
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Policy, Ratio

DAY = 86_400_000
DELAYS = [
    ("constant", Ratio(2), [1_000, 1_000, 1_000, 1_000]),
    ("linear", Ratio(2), [1_000, 2_000, 3_000, 4_000]),
    ("exponential", Ratio(2), [1_000, 2_000, 4_000, 5_000]),
    ("exponential", Ratio(3, 2), [1_000, 1_500, 2_250, 3_375]),
    ("exponential", Ratio(11, 10), [1_000, 1_100, 1_210, 1_331]),
    ("exponential", Ratio(1), [1_000, 1_000, 1_000, 1_000]),
]


@pytest.mark.parametrize(("kind", "growth", "expected"), DELAYS)
def test_delays_grow_up_to_the_cap(kind: str, growth: Ratio, expected: list[int]) -> None:
    policy = Policy(backoff=kind, backoff_coefficient=growth, max_retry_delay=Millis(5_000))  # type: ignore[arg-type]
    assert [backoff(policy, retry) for retry in (1, 2, 3, 4)] == expected
    assert backoff(policy, 1_000_000_000) == (1_000 if expected[3] == 1_000 else 5_000)


@given(
    first=st.integers(0, 100_000),
    numerator=st.integers(1, 400),
    denominator=st.integers(1, 100),
    retry=st.integers(1, 400),
    cap=st.integers(0, DAY),
)
def test_an_exponential_delay_is_the_fraction_rounded_down(
    first: int, numerator: int, denominator: int, retry: int, cap: int
) -> None:
    growth = max(Fraction(numerator, denominator), Fraction(1))
    policy = Policy(
        retry_delay=Millis(first),
        backoff_coefficient=Ratio(growth.numerator, growth.denominator),
        max_retry_delay=Millis(cap),
    )
    assert backoff(policy, retry) == min(floor(first * growth ** (retry - 1)), cap)


def test_retries_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        backoff(Policy(), 0)


@pytest.mark.parametrize(("draw", "expected"), [(-MILLION, 750), (0, 1_000), (MILLION, 1_250), (1, 1_000), (-1, 999)])
def test_jitter_spreads_the_delay_both_ways(draw: int, expected: int) -> None:
    assert jittered(Millis(1_000), 250_000, draw) == expected


def test_jitter_spreads_delays_at_their_cap_too() -> None:
    policy = Policy(retry_delay=Millis(DAY), max_retry_delay=Millis(1_000), jitter=MILLION)
    assert retry_delay(policy, Failure("E", ""), 1, MILLION) == 2_000


def test_the_delay_asked_for_is_neither_spread_nor_capped() -> None:
    policy = Policy(max_retry_delay=Millis(10), jitter=MILLION)
    assert retry_delay(policy, Failure("E", "", retry_after=Millis(5_000)), 3, MILLION) == 5_000
    assert retry_delay(policy, Failure("E", "", retry_after=Millis(-5)), 3, MILLION) == 0


ANOTHER = [
    (Policy(retries=1), "E", True, 0, True),
    (Policy(retries=1), "E", True, 1, False),
    (Policy(retries=0), "E", True, 0, False),
    (Policy(retries=None), "E", True, 1_000_000, True),
    (Policy(retries=None), "E", False, 0, False),
    (Policy(retries=1, non_retryable=("E",)), "E", True, 0, False),
    (Policy(retries=1, non_retryable=("F",)), "E", True, 0, True),
    (Policy(retries=1, retry_on=("E",)), "E", True, 0, True),
    (Policy(retries=1, retry_on=("F",)), "E", True, 0, False),
    (Policy(retries=1, retry_on=("E",), non_retryable=("E",)), "E", True, 0, False),
    (Policy(retries=1, retry_on=("E",)), "E", False, 0, False),
]


@pytest.mark.parametrize(("policy", "kind", "retryable", "retries", "expected"), ANOTHER)
def test_whether_another_attempt_follows(
    policy: Policy, kind: str, retryable: bool, retries: int, expected: bool
) -> None:
    assert may_retry(policy, Failure(kind, "", retryable=retryable), retries) is expected
