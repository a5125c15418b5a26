from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from wvflow.data.rows import INLINE_BYTES, INLINE_ROWS, STORED_AS, LookAhead, recast, renamed

SCHEMA = pa.schema({"i": pa.int64()})


def counted(sizes: list[int], seen: list[int]) -> Iterator[pa.RecordBatch]:
    """Batches of these sizes; ``seen`` gets each size when it is taken."""
    for size in sizes:
        seen.append(size)
        yield pa.record_batch({"i": range(size)}, schema=SCHEMA)


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        pytest.param([60, 40], 2, id="up to the limit it must know whether the stream ends"),
        pytest.param([60, 41, 5], 2, id="beyond the limit it takes no more"),
        pytest.param([0, 0, 1], 3, id="empty batches don't count"),
        pytest.param([500, 500], 1, id="one large batch is enough"),
    ],
)
def test_a_look_ahead_takes_no_more_than_it_must(sizes: list[int], taken: int) -> None:
    seen: list[int] = []
    ahead = LookAhead(SCHEMA, counted(sizes, seen))
    assert len(seen) == taken
    assert sum(batch.num_rows for batch in ahead.batches()) == sum(sizes)


@pytest.mark.parametrize(("rows", "inline"), [(INLINE_ROWS, True), (INLINE_ROWS + 1, False)])
def test_rows_within_the_limit_are_inline(rows: int, inline: bool) -> None:
    assert (LookAhead(SCHEMA, counted([rows], [])).inline() is not None) == inline


def test_the_limit_of_bytes_is_that_of_the_whole_stream_of_arrow() -> None:
    def inline(length: int) -> bytes | None:
        batch = pa.record_batch({"s": ["x" * length]})
        return LookAhead(batch.schema, [batch]).inline()

    fits = max(length for length in range(INLINE_BYTES - 1_000, INLINE_BYTES, 8) if inline(length))
    data = inline(fits)
    assert data is not None
    assert INLINE_BYTES - 16 < len(data) <= INLINE_BYTES


@pytest.mark.parametrize(
    ("names", "types", "text"),
    [
        (["a", "b"], ["BIGINT", "VARCHAR"], "Q"),
        (["a"], ["HUGEINT"], 'SELECT CAST("a" AS BIGINT) AS "a" FROM (Q) AS _wvflow_rows("a")'),
        (["a", "A"], ["BIGINT", "BIGINT"], 'SELECT "a", "A_1" FROM (Q) AS _wvflow_rows("a", "A_1")'),
        (['"'], ["ENUM('x')"], 'SELECT CAST("""" AS VARCHAR) AS """" FROM (Q) AS _wvflow_rows("""")'),
    ],
)
def test_a_select_is_wrapped_only_when_a_column_needs_it(names: list[str], types: list[str], text: str) -> None:
    assert recast("Q", names, types, STORED_AS) == text


def test_columns_of_one_name_are_told_apart_in_a_stream() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    schema, batches = renamed(pa.RecordBatchReader.from_batches(batch.schema, [batch]))
    assert schema.names == ["a", "a_1"]
    assert [one.to_pydict() for one in batches] == [{"a": [1], "a_1": [2]}]
