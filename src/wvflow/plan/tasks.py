"""What a stage does: its tasks, in order, each with its policy (execution, section 1)."""

from __future__ import annotations

from typing import Literal as OneOf
from typing import TypeAlias

import msgspec

from wvflow.lang.algebra import Expr, NamedArgument, Node, Rel, Table
from wvflow.lang.assertions import Assertion
from wvflow.lang.types import Type
from wvflow.plan.refs import FlowRef, Millis

Backoff = OneOf["constant", "linear", "exponential"]
Isolation = OneOf["thread", "process"]
DEFAULT_RETRY_DELAY = Millis(1_000)
DEFAULT_MAX_RETRY_DELAY = Millis(86_400_000)
DEFAULT_POLL_INTERVAL = Millis(10_000)
DEFAULT_KEY_TTL = Millis(30 * 86_400_000)


class Ratio(msgspec.Struct, frozen=True, array_like=True):
    """An exact fraction: back-off is computed without floats, so that every replay gives the same instants."""

    numerator: int
    denominator: int = 1


class Rate(msgspec.Struct, frozen=True):
    """At most ``starts`` in ``per`` milliseconds, in the whole project, of all that share ``name``."""

    name: str
    starts: int
    per: Millis


class Policy(msgspec.Struct, frozen=True):
    """How one task is attempted (flow language, section 3). Precedence is settled; durations in milliseconds.

    Written in full, so that a stored plan keeps its meaning when a built-in default changes.

    ``pool``: attempts hold one of its slots, ``""`` for none. ``priority``: what waits with a higher one goes first.
    ``retries`` None is ``unlimited``. ``jitter`` is in millionths: 250_000 spreads a delay by a quarter both ways.
    """

    retries: int | None = 0
    retry_delay: Millis = DEFAULT_RETRY_DELAY
    backoff: Backoff = "exponential"
    backoff_coefficient: Ratio = Ratio(2)
    max_retry_delay: Millis = DEFAULT_MAX_RETRY_DELAY
    jitter: int = 0
    non_retryable: tuple[str, ...] = ()
    retry_on: tuple[str, ...] = ()
    timeout: Millis | None = None
    start_timeout: Millis | None = None
    heartbeat: Millis | None = None
    on_lost: OneOf["rerun", "fail"] = "rerun"
    isolation: Isolation = "thread"
    pool: str = ""
    rate: Rate | None = None
    priority: int = 0


class TableTarget(Node, frozen=True, tag="to_table"):
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)


class FileTarget(Node, frozen=True, tag="to_file"):
    """``path`` as written, relative to the program's root; the format follows its extension. One that ends in ``/`` is
    a folder, with a file for each partition."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")


SaveMode = OneOf["replace", "append", "merge", "partition"]


class Save(Node, frozen=True, tag="save"):
    """``save to`` and ``append to``. Options are those of the engine's writer.

    ``mode``: whether the target is replaced as a whole, gets more rows, or new rows in the place of those with the same
    values in the columns ``by``: of each row (``merge``), or of all that share them (``partition``). To ``append``,
    ``by`` are the target's columns that the rows are for, in their order; none for all. ``fixed``: those columns of a
    partition that the rows may lack, with their value for the whole save.
    """

    target: TableTarget | FileTarget
    options: tuple[NamedArgument, ...] = ()
    mode: SaveMode = "replace"
    by: tuple[str, ...] = ()
    fixed: tuple[NamedArgument, ...] = ()


class Delete(Node, frozen=True, tag="delete"):
    """``delete``: removes the rows that the task's relation, which is ``table`` behind conditions, consists of."""

    table: Table

    @property
    def target(self) -> TableTarget:
        return TableTarget(self.table.parts)


Update: TypeAlias = Save | Delete


class QueryTask(Node, frozen=True, tag="query"):
    """A maximal run of relational operators together with the save that ends it: one SQL statement.

    ``keep``: its rows are an output. False for a save whose rows nobody can ask for, and for a ``Delete``, which lets
    the rows that were handed over pass.
    """

    relation: Rel
    policy: Policy = Policy()
    save: Update | None = None
    keep: bool = True

    @property
    def is_repeatable(self) -> bool:
        """Whether done again with the same rows it leaves everything as it is."""
        return not (isinstance(self.save, Delete) or (self.save is not None and self.save.mode == "append"))


class Argument(msgspec.Struct, frozen=True):
    """An argument of an activity. Its value needs no rows, but for those of its ``Cell``s."""

    name: str
    value: Expr


class ActivityTask(Node, frozen=True, tag="activity"):
    """One call of an activity, or one delivery. ``input`` is ``Piped`` or ``StageRows`` where the rows go in untouched,
    None for ``call f(…)``: no input rows. ``apart``, as for ``… | call f(…)``: the function is not given them, only its
    arguments look into them, and they pass on where it returns nothing.

    ``function``: the key (``lang.keys``) of what carries it out, where that isn't the registered function of its name.
    ``given``: values of a declaration's parameters; then the arguments are made of these, by name.
    """

    activity: str
    arguments: tuple[Argument, ...] = ()
    input: Rel | None = None
    policy: Policy = Policy()
    apart: bool = False
    function: str = ""
    given: tuple[Argument, ...] = ()


ParentClose = OneOf["terminate", "request_cancel", "abandon"]


class ChildTask(Node, frozen=True, tag="child"):
    """One run of another flow: started, waited for, its output put out. ``input``, ``apart`` as in ``ActivityTask``.

    ``parent_close``: what becomes of it where the stage waits no more while it runs. ``detach``: it isn't waited for;
    what is put out is ``flow, run_id``. ``undoes_itself``: where it has succeeded and is to be undone, nothing of its
    stage does that.
    """

    flow: FlowRef
    arguments: tuple[Argument, ...] = ()
    input: Rel | None = None
    policy: Policy = Policy()
    apart: bool = False
    parent_close: ParentClose = "terminate"
    detach: bool = False
    undoes_itself: bool = False


class UndoChildrenTask(Node, frozen=True, tag="undo_children"):
    """Has the children of a stage undo what they did, the newest first."""

    policy: Policy = Policy()


class RouteTask(Node, frozen=True, tag="route"):
    """Counts how many rows go to which of a stage's readers. ``counts``: over ``Piped``, a row for each target with
    ``target`` (null where rows reach none) and ``rows``. The rows pass on; each target reads its own. ``cases``: what
    is written for each, and its target, to be shown."""

    targets: tuple[str, ...]
    counts: Rel
    policy: Policy = Policy()
    cases: tuple[tuple[str, str], ...] = ()


class WaitTask(Node, frozen=True, tag="wait"):
    """``wait('7 days')``: the rows so far go on when that much time has passed since it was first reached.

    ``duration``: milliseconds, or an expression that needs no rows and gives a text or an interval.
    """

    duration: Millis | Expr
    policy: Policy = Policy()


class Reread(msgspec.Struct, frozen=True, array_like=True):
    """What a purely relational stage does: run again where a poll reads the stage."""

    stage: str
    relation: Rel


class UntilTask(Node, frozen=True, tag="wait_until"):
    """``wait until``: polled every ``interval`` until ``condition`` has a row; the rows of ``relation`` then go on.

    In the condition, ``Piped`` stands for these rows; ``text`` is how it is written, to be shown. ``sources``: the
    stages that are run again with each poll. The policy's ``timeout`` bounds the whole wait, from when it was first
    reached.
    """

    condition: Rel
    relation: Rel
    text: str = ""
    interval: Millis = DEFAULT_POLL_INTERVAL
    sources: tuple[Reread, ...] = ()
    policy: Policy = Policy()


class StateTask(Node, frozen=True, tag="wait_state"):
    """``wait until`` over state: the kernel looks whenever a variable changes. The rows so far go on; ``text`` and the
    policy's ``timeout`` as in ``UntilTask``."""

    condition: Expr
    text: str = ""
    policy: Policy = Policy()


class SignalTask(Node, frozen=True, tag="wait_for"):
    """``wait for``: takes the oldest signal of that name that its stage has not taken. Its arguments are values of the
    tasks behind it (``lang.keys.of_signal``)."""

    signal: str
    policy: Policy = Policy()


class ViewTask(Node, frozen=True, tag="view"):
    """``materialize: view``: puts nothing out. Who reads the stage computes ``relation`` in the place of its rows."""

    relation: Rel
    policy: Policy = Policy()


class RowTest(Node, frozen=True, tag="row_test"):
    """A condition that must be true for every row. ``failing``: the rows of ``Piped`` for which it isn't; ``text``: as
    the program writes it."""

    failing: Rel
    text: str


Test: TypeAlias = RowTest | Assertion


class TestTask(Node, frozen=True, tag="test"):
    """What must hold for the rows so far, which pass on. ``warns``: where it doesn't, that is told and no failure."""

    __test__ = False  # for pytest: no test of ours

    tests: tuple[Test, ...]
    policy: Policy = Policy()
    warns: bool = False


class DebugTask(Node, frozen=True, tag="debug"):
    """Prints ``shown``, over ``Piped``, to the run's log. The rows so far pass on."""

    shown: Rel
    policy: Policy = Policy()


Wait: TypeAlias = WaitTask | UntilTask | StateTask | SignalTask
"""Those that hold no worker while they are under way."""


class SplitTask(Node, frozen=True, tag="split"):
    """The first task of a mapped stage: its output has a row for each instance, in their order. ``members``: the rows
    to take instead where the one column of ``relation`` turns out to hold arrays, None where that is known not to be.
    """

    relation: Rel
    members: Rel | None = None
    policy: Policy = Policy()


class CollectTask(Node, frozen=True, tag="collect"):
    """Unites what the instances of a mapped stage put out, in their order. ``shape``: the columns of the stage, for the
    case that there are no instances; None where nobody knows them."""

    shape: tuple[tuple[str, Type], ...] | None = None
    policy: Policy = Policy()


KeyConflict = OneOf["error", "reuse"]
KeyedStep: TypeAlias = QueryTask | ActivityTask | TestTask | DebugTask
"""What can be done key by key: work that is done when it returns."""


class KeyedTask(Node, frozen=True, tag="keyed"):
    """What a stage does from its first effect on, once for each distinct ``key``; what it put out under a key that
    succeeded, in whichever run, is taken instead of doing it again.

    ``by_row``: the key is over the rows of ``input``, and ``tasks`` are given those of one key at a time; else there is
    one key, for all of them. ``input`` as in ``ActivityTask``. ``ttl``: for how long a success counts. ``conflict``:
    whether one with other input is an error or taken all the same. ``shape``: the columns of the stage, for the case
    that there are no keys. The policy is that of the first effect.
    """

    key: Expr
    tasks: tuple[KeyedStep, ...]
    input: Rel | None = None
    by_row: bool = False
    ttl: Millis = DEFAULT_KEY_TTL
    conflict: KeyConflict = "error"
    shape: tuple[tuple[str, Type], ...] | None = None
    policy: Policy = Policy()

    @property
    def is_repeatable(self) -> bool:
        """What is done again is nothing but what its keys say."""
        return False


class UndoKeysTask(Node, frozen=True, tag="undo_keys"):
    """Undoes what a stage did key by key: ``tasks`` once for each key that its run did anything for, the newest first,
    with the rows that came of it (``StageRows`` of ``UNDONE``). The policy is that of the first effect."""

    tasks: tuple[KeyedStep, ...]
    policy: Policy = Policy()

    @property
    def is_repeatable(self) -> bool:
        """As of ``KeyedTask``."""
        return False


ByKey: TypeAlias = KeyedTask | UndoKeysTask
"""What is done key by key, each of them once."""


class LoopTask(Node, frozen=True, tag="loop"):
    """``while``: whether the tasks behind it are to be done, once more (``StagePlan.loop``). The rows so far pass on.

    ``condition``: an expression that needs no rows, what has a row when it holds (over ``Piped``, the rows so far), or
    a call that gives true or false. ``negated``: it is to be false. ``text``: how it is written, to be shown.
    """

    condition: Expr | Rel | ActivityTask
    text: str = ""
    policy: Policy = Policy()
    negated: bool = False


class Loop(msgspec.Struct, frozen=True, array_like=True):
    """Which of a stage's tasks are repeated: ``test`` is the ``LoopTask``, ``end`` the first behind the loop."""

    test: int
    end: int


Task: TypeAlias = (
    QueryTask
    | ViewTask
    | ActivityTask
    | RouteTask
    | TestTask
    | DebugTask
    | Wait
    | LoopTask
    | SplitTask
    | CollectTask
    | ChildTask
    | KeyedTask
    | UndoKeysTask
    | UndoChildrenTask
)


def is_effect(task: Task) -> bool:
    """Whether a task changes anything outside of the run."""
    saves = isinstance(task, QueryTask) and task.save is not None
    return saves or isinstance(task, ActivityTask | KeyedTask | ChildTask)


def called(task: Task) -> ActivityTask | None:
    """The activity that a task calls, if it calls one."""
    found = task.condition if isinstance(task, LoopTask) else task
    return found if isinstance(found, ActivityTask) else None
