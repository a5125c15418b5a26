"""Whether a failed attempt is followed by another, and after how long.

All of it is integer arithmetic on milliseconds: the same journal gives the same instants under every Python, machine
and driver. The random part of jitter comes in with the event, as a whole number of millionths.

Source: flow language, section 3, ``retries`` to ``retry_on``.
"""

from __future__ import annotations

from wvflow.kernel.events import Failure
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Policy, Ratio

MILLION = 1_000_000


def may_retry(policy: Policy, failure: Failure, retries: int) -> bool:
    """Whether a task that was retried ``retries`` times and now failed so gets another attempt.

    The activity's own word and ``non_retryable`` are stronger than ``retry_on``.
    """
    if not failure.retryable or failure.kind in policy.non_retryable:
        return False
    if policy.retry_on and failure.kind not in policy.retry_on:
        return False
    return policy.retries is None or retries < policy.retries


def retry_delay(policy: Policy, failure: Failure, retry: int, draw: int) -> Millis:
    """How long to wait before retry number ``retry`` (from 1), jitter included.

    A delay that the activity asked for is taken as it is. Otherwise jitter spreads the capped delay both ways, so that
    even delays at their cap don't meet.
    """
    if failure.retry_after is not None:
        return Millis(max(failure.retry_after, 0))
    return jittered(backoff(policy, retry), policy.jitter, draw)


def backoff(policy: Policy, retry: int) -> Millis:
    """The delay before retry number ``retry``, before jitter: d, d·n or d·c^(n−1), at most the cap, rounded down.

    >>> backoff(Policy(retry_delay=Millis(1_000), max_retry_delay=Millis(60_000)), 3)
    4000

    Raises:
        ValueError: ``retry`` is below 1.
    """
    if retry < 1:
        raise ValueError(f"retries are counted from 1, not {retry}")
    first, cap = policy.retry_delay, policy.max_retry_delay
    match policy.backoff:
        case "constant":
            delay = int(first)
        case "linear":
            delay = first * retry
        case "exponential":
            delay = _exponential(first, policy.backoff_coefficient, retry - 1, cap)
    return Millis(min(delay, cap))


def _exponential(first: int, growth: Ratio, power: int, cap: int) -> int:
    """``first · growth^power``, or ``cap`` as soon as that is certain: the numbers stay small however large ``power``.

    By Bernoulli's inequality a growth of 1 + x doubles at least every ceil(1/x) steps.
    """
    excess = growth.numerator - growth.denominator
    if excess <= 0 or first <= 0:
        return first
    doubles_every = -(-growth.denominator // excess)
    if power >= doubles_every * (cap // first + 1).bit_length():
        return cap
    return int(first * growth.numerator**power // growth.denominator**power)


def jittered(delay: Millis, jitter: int, draw: int) -> Millis:
    """``delay`` times a factor in [1−j, 1+j]. ``jitter`` in millionths; ``draw`` from −1,000,000 to 1,000,000.

    >>> jittered(Millis(1_000), jitter=250_000, draw=-1_000_000)
    750
    """
    return Millis(delay * (MILLION * MILLION + jitter * draw) // (MILLION * MILLION))
