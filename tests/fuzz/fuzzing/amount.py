"""How much is drawn: a little and always the same in the suite, all of it and by a seed with ``make fuzz``."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import hypothesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing.grammar import Choose

SEED = os.environ.get("FUZZ_SEED", "")
SHARDS = range(40 if SEED else 1)


def drawn(test: Callable[[Choose], None], *, few: int, many: int, shard: int) -> None:
    """Give a test so many draws: ``few`` in the suite, ``many`` in all shards together with a seed.

    Half of them are hypothesis's own, which shrink; the others, from a seed that it draws, differ more.
    """

    def chosen(data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            test(Random(data.draw(st.integers(0, 2**64))).randint)
        else:
            test(lambda low, high: data.draw(st.integers(low, high)))

    examples = many // len(SHARDS) if SEED else few
    quiet = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not SEED,
        suppress_health_check=list(HealthCheck),
    )
    run = quiet(given(st.data())(chosen))
    if SEED:
        run = hypothesis.seed(f"{SEED}-{shard}")(run)
    run()
