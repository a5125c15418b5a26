"""The engine's port: where relations are computed and outputs are written and read. Blocking; called on worker
threads. Adapters translate foreign exceptions into ``TaskError`` (the task failed), ``NoSpace`` or ``Unavailable``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import quote

import msgspec

from wvflow.kernel.events import Output
from wvflow.lang.algebra import File, Table
from wvflow.lang.tables import Result
from wvflow.lang.types import Type
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import FileTarget, QueryTask, TableTarget
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa


# Characters of a stage's name that go into a file's name: most file systems allow 255 bytes in all.
LONGEST_STAGE = 120
NOTE = ".note"
"""Ends the names of files of a run that are no outputs."""
KEYS = "keys"
"""The folder of what was put out under idempotency keys, by claim, in the state folder."""


class InlineRows(msgspec.Struct, frozen=True):
    """Small rows as an Arrow IPC stream."""

    data: bytes


class FileRows(msgspec.Struct, frozen=True):
    """Rows in a Parquet file; ``path`` relative to the state folder."""

    path: str


Located: TypeAlias = InlineRows | FileRows


class OutputName(msgspec.Struct, frozen=True, kw_only=True):
    """Names an output after the attempt that makes it, so that no two attempts ever write the same file.

    ``claim``: it is made under an idempotency key, and lasts as long as that. What is saved under one claim is saved
    once, whichever run does it.
    """

    run_id: str
    stage: str
    task: int
    attempt: int
    token: int
    iteration: int = 0
    instance: int = 0
    claim: str = ""

    @property
    def folder(self) -> str:
        """Where its files are, below the state folder."""
        return f"{KEYS}/{self.claim}" if self.claim else f"runs/{self.run_id}"

    @property
    def key(self) -> str:
        """The name as text that can be part of a file's: any stage name will do, however odd or long."""
        stage = quote(self.stage, safe=" ")
        if len(stage) > LONGEST_STAGE:
            stage = f"{stage[:LONGEST_STAGE]}~{blake2b(self.stage.encode(), digest_size=8).hexdigest()}"
        return f"{stage}.{self.task}.{self.iteration}.{self.instance}.{self.attempt}.{self.token}"

    @property
    def path(self) -> str:
        """The Parquet file's path below the state folder."""
        return f"{self.folder}/{self.key}.parquet"

    @property
    def note(self) -> str:
        """The path of what attempts at the same task tell each other, below the state folder; one for all iterations
        of a loop."""
        name = msgspec.structs.replace(self, iteration=0)
        key = name.key.removesuffix(f".{self.attempt}.{self.token}")
        return f"{self.folder}/{key}{NOTE}"

    @property
    def inline(self) -> str:
        """The reference of its rows when the store keeps them."""
        return f"inline:{self.claim or self.run_id}/{self.key}"

    @property
    def applied(self) -> tuple[str, str, int, int, int]:
        """The key of its save in the target's ``_wvflow.applied``: the same for every attempt."""
        return self.claim or self.run_id, self.stage, self.task, self.iteration, self.instance


def is_of_stage(ref: str, run_id: str, stage: str) -> bool:
    """Whether a reference is that of an output which the stage made itself.

    >>> name = OutputName(run_id="r1", stage="load", task=2, attempt=1, token=1)
    >>> is_of_stage(name.inline, "r1", "load"), is_of_stage(f"file:{name.path}", "r1", "other")
    (True, False)
    """
    key = OutputName(run_id=run_id, stage=stage, task=0, attempt=0, token=0).key.removesuffix(".0" * 5)
    for place in (f"inline:{run_id}/", f"file:runs/{run_id}/"):
        numbers = ref.removeprefix(f"{place}{key}.").removesuffix(".parquet")
        if numbers != ref and all(one.isdigit() for one in numbers.split(".")) and numbers.count(".") == 4:
            return True
    return False


class Stored(msgspec.Struct, frozen=True):
    """What a task put out; ``inline`` are the rows themselves when they are to be kept in the store. ``saved``: the
    identity of what it left in its target, as ``Engine.identity`` gives it until somebody else writes there."""

    output: Output
    inline: bytes | None = None
    saved: str = ""


class QueryJob(msgspec.Struct, frozen=True, kw_only=True):
    """One query task with all that it needs. ``inputs``: rows of the stages it reads; ``values``: parameters and
    implicit values by name; ``columns``: those that its rows must have, none for any; ``places`` point at the program's
    text; ``begun`` is called when the work starts (the warehouse's gate is passed); ``waiting`` with the holder's name
    when it has to wait; ``in_rows``: the rows are to be handed out one by one, by ``Engine.row``."""

    task: QueryTask
    name: OutputName
    inputs: Mapping[str, Located]
    piped: Located | None
    values: Mapping[str, object]
    columns: Sequence[tuple[str, Type]] = ()
    places: Sequence[Place] = ()
    begun: Callable[[], None] = lambda: None
    waiting: Callable[[str], None] = lambda holder: None
    connector: str = ""
    in_rows: bool = False


class StatementJob(msgspec.Struct, frozen=True, kw_only=True):
    """Statements in the engine's own SQL. ``values``: what they name as ``$name``; ``piped``: rows that they read as
    ``_``. The rest as in ``QueryJob``."""

    text: str
    name: OutputName
    values: Mapping[str, object]
    piped: Located | None = None
    places: Sequence[Place] = ()
    begun: Callable[[], None] = lambda: None
    waiting: Callable[[str], None] = lambda holder: None
    connector: str = ""


class Engine(Protocol):
    """Computes query tasks; writes and reads outputs."""

    def query(self, job: QueryJob, stop: Stop) -> Stored:
        """Run the task and keep its rows, or save them at its target, once for all attempts of a run.

        Rows that are kept are written and synced before this returns. A stop interrupts the statement.

        Raises:
            TaskError: the engine refused or failed; kinds ``QueryError``, ``ColumnNotFound``, ``TableNotFound``,
                ``SchemaNotFound``, ``CatalogNotFound``, ``FileNotFound``, ``PermissionDenied``, ``Unauthenticated``,
                ``TimedOut``, ``NotImplemented``, ``EngineBroken``, ``OutputMissing``, ``Interrupted``,
                ``OutOfMemory``, ``SaveFailed``, and ``WrongColumns`` before anything is kept or saved.
            NoSpace, Unavailable: not the task's fault.
        """
        ...

    def look(self, job: QueryJob, most: int, stop: Stop) -> Result:
        """The first ``most`` rows of the task's relation, as tests and people see them, and how many there are in all.
        Nothing is kept or saved. Raises as ``query``."""
        ...

    def execute(self, job: StatementJob, stop: Stop) -> Stored:
        """Run statements on the warehouse and keep the rows of the last one: those of a query, else one row with the
        number of ``rows`` that it changed.

        Statements that write take effect together, once for all attempts of a run; those that the engine can't run in
        a transaction run one after the other.

        Raises as ``query``.
        """
        ...

    def keep(
        self, rows: pa.RecordBatchReader, name: OutputName, stop: Stop, columns: Sequence[tuple[str, Type]] = ()
    ) -> Stored:
        """Keep rows that an activity made, as ``query`` does. Raises as ``query``, or what the reader raises."""
        ...

    def read(self, rows: Located) -> pa.RecordBatchReader:
        """The rows of an output, as a stream. Raises OutputMissing when its file is gone."""
        ...

    def identity(self, place: Table | File | TableTarget | FileTarget, stop: Stop, connector: str = "") -> str | None:
        """A text that changes whenever what stands there does, None where nothing stands or nothing tells (a web
        address). Text of a table changes with every write by a run, and of all tables when somebody else has written.

        Raises as ``query``.
        """
        ...

    def row(self, rows: Located, place: int, ahead: int) -> bytes:
        """One of the rows that were kept ``in_rows``, counted from 0, as an inline output.

        ``ahead``: so many rows are read at once and stay at hand for a while, so that taking one after the other costs
        little more than reading them all. Raises TaskError, as ``query``.
        """
        ...

    def unite(
        self,
        parts: Callable[[], Iterator[Located]],
        name: OutputName,
        stop: Stop,
        columns: Sequence[tuple[str, Type]] = (),
    ) -> Stored:
        """Keep the rows of several outputs, at least one, as one, in their order. ``parts`` gives them anew each time.

        Columns are united by name; where an output has no such column, it is null. Raises as ``query``, and TaskError
        ``InstancesDiffer`` where the types of a column have nothing in common.
        """
        ...

    def share(self, output: Output, name: OutputName) -> Output:
        """An earlier output's file under another name, so that each can be removed without the other.

        Raises OutputMissing when it is gone.
        """
        ...

    def forget(self, run_id: str) -> None:
        """Drop what is cached of a run that this process no longer drives."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...
