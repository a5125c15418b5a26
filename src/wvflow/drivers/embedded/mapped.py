"""The two tasks of a mapped stage that stand around its instances, and the one row that each instance is about.

That row is an output too: ``row:<place>:<ahead>:<reference>`` is one of the rows that the split has put out. Nothing is
copied for an instance before it runs, and one that hands its row on untouched records no more than this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from wvflow.kernel.events import NOTHING, Output
from wvflow.kernel.state import Instances, Phase, StageState
from wvflow.lang.algebra import Rel
from wvflow.lang.missing import Shape, empty
from wvflow.lang.types import Type
from wvflow.plan.tasks import CollectTask, SplitTask
from wvflow.ports.engine import Engine, InlineRows, Located, OutputName, Stored
from wvflow.ports.stop import Stop

_AHEAD_ROWS = 1_024
_AHEAD_BYTES = 4 << 20  # as kept; in memory it may be several times as much


class Pieces(NamedTuple):
    """What these tasks need. ``query`` computes a relation over the stage's inputs; the flag says that its rows are to
    be handed out one by one. ``locate`` finds an output's rows, given the stage that they are of."""

    engine: Engine
    name: OutputName
    stop: Stop
    query: Callable[[Rel, bool], Stored]
    locate: Callable[[Output, str], Located]
    begun: Callable[[], None]


def row_of(stage: StageState, number: int) -> Output:
    """The row that an instance of a stage is about."""
    rows = stage.done[0]
    ahead = _AHEAD_ROWS
    if rows.rows and rows.bytes:
        ahead = max(1, min(_AHEAD_ROWS, _AHEAD_BYTES * rows.rows // rows.bytes))
    return Output(f"row:{number - 1}:{ahead}:{rows.ref}", rows=1)


def locate_row(output: Output, engine: Engine, locate: Callable[[Output], Located]) -> Located:
    """Where such a row is. Raises TaskError."""
    rows, place, ahead = parse_row(output.ref)
    return InlineRows(engine.row(locate(Output(rows)), place, ahead))


def parse_row(ref: str) -> tuple[str, int, int]:
    """The reference to all rows, the place of the one among them, and how many may be read at once.

    >>> parse_row("row:4:1024:file:runs/r/s.parquet")
    ('file:runs/r/s.parquet', 4, 1024)
    """
    _, place, ahead, rows = ref.split(":", 3)
    return rows, int(place), int(ahead)


def is_row(ref: str) -> bool:
    """Whether it refers to such a row."""
    return ref.startswith("row:")


def split(task: SplitTask, pieces: Pieces) -> Stored:
    """A row for each instance. Whether a column holds arrays may turn out only now."""
    if task.members is not None and _holds_arrays(pieces.query(task.relation, False), pieces):
        return pieces.query(task.members, True)
    return pieces.query(task.relation, True)


def _holds_arrays(stored: Stored, pieces: Pieces) -> bool:
    if stored.inline is not None:
        return False  # arrays are never kept so
    import pyarrow as pa

    kind = pieces.engine.read(pieces.locate(stored.output, pieces.name.stage)).schema.field(0).type
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def collect(task: CollectTask, group: Instances, columns: Sequence[tuple[str, Type]], pieces: Pieces) -> Stored:
    """What the instances that succeeded have put out, in their order, with what they had of other runs."""
    outputs = [one.done[-1] for one in group.states if one.phase is Phase.SUCCESS]

    def parts() -> Iterator[Located]:
        return (pieces.locate(one, pieces.name.stage) for one in outputs if is_kept(one))

    stored, reused = put_together(outputs, task.shape, parts, columns, pieces), Counter[str]()
    for one in outputs:
        reused.update(dict(one.reused))
    return replace(stored, output=replace(stored.output, reused=tuple(sorted(reused.items()))))


def is_kept(output: Output) -> bool:
    """Whether there are rows of it."""
    return output.ref not in ("", NOTHING)


def put_together(
    outputs: Sequence[Output],
    shape: Shape | None,
    parts: Callable[[], Iterator[Located]],
    columns: Sequence[tuple[str, Type]],
    pieces: Pieces,
) -> Stored:
    """Several outputs as one, in their order; ``parts`` are those whose rows are kept. ``shape``: the columns, for the
    case that there are none, None where nobody knows them."""
    kept = [one for one in outputs if is_kept(one)]
    if not outputs and shape is not None:
        return pieces.query(empty(shape), False)
    pieces.begun()
    if not outputs or (not kept and any(one.ref for one in outputs)):
        return Stored(Output(NOTHING, rows=0))
    target = next((one.target for one in outputs if one.target), "")
    if not kept:
        rows = [one.rows for one in outputs]
        return Stored(Output(rows=None if None in rows else sum(filter(None, rows)), target=target))
    stored = pieces.engine.unite(parts, pieces.name, pieces.stop, columns)
    return Stored(replace(stored.output, target=target), stored.inline)
