"""The waist: a compiled flow as plain, frozen, serialisable data.

The compiler makes it, the runtime needs nothing else: a worker replays a stored plan with no parser in the process.
Stages are numbered in topological order (``StageId`` is the index); their order of declaration is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal as OneOf
from typing import TypeAlias

import msgspec

from wvflow.lang.algebra import Expr, Literal, Node, Rel
from wvflow.lang.properties import TriggerRule
from wvflow.lang.types import BOOLEAN, Type
from wvflow.plan.dependencies import Alternatives, UpstreamStage
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.schedules import Schedule
from wvflow.plan.tasks import DEFAULT_KEY_TTL, ByKey, ChildTask, KeyConflict, Loop, Task

AUTOMATIC_LENGTH = 10_000
"""Of a journal, where ``continue_as_new`` leaves it open."""
MOST_INSTANCES_AT_WORK = 500
"""Of a mapped stage, where nothing else is said: what the driver is handed at once stays bounded."""

Rule: TypeAlias = TriggerRule
EAGER_RULES: tuple[Rule, ...] = ("one_success", "one_failed", "one_done")
"""Those that ``eager`` lets start at the first."""

FAILURE_RULES: tuple[Rule, ...] = ("one_failed", "one_done", "all_failed", "none_skipped", "all_done", "always")
"""Those that the failure of an upstream can meet, so that it may be why the stage runs."""

CLEANUP_RULES: tuple[Rule, ...] = ("all_done", "always")
"""Those that hold whatever became of the upstreams: they run on a cancel, too."""


class StateIs(Node, frozen=True, tag="state_is"):
    """``extract.failed``; ``done`` is any state that a stage ends in."""

    stage: StageId
    state: OneOf["success", "failed", "skipped", "cancelled", "done"]


class Negation(Node, frozen=True, tag="negation"):
    operand: Condition


class AllOf(Node, frozen=True, tag="all_of"):
    operands: tuple[Condition, ...]


class AnyOf(Node, frozen=True, tag="any_of"):
    operands: tuple[Condition, ...]


Condition: TypeAlias = StateIs | Negation | AllOf | AnyOf


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a stage runs, all its upstreams being terminal (flow language, section 2, "Trigger rules").

    A ``condition`` decides about the stages that it names (``named``, ascending); of the others all must have
    succeeded. Without one, ``rule`` decides about all. ``eager``: it may start at the first that meets the rule.
    ``cleanup``: it runs on a cancel, too.
    """

    rule: Rule = "all_success"
    eager: bool = False
    condition: Condition | None = None
    named: tuple[StageId, ...] = ()
    cleanup: bool = False


Hook = OneOf["on_failure", "on_success", "on_cancel", "on_finish", "jump", "compensation", "update"]
"""What is done when all stages of a run have ended, and how they have: a hook of the flow, the jump of one of its
stages, or what undoes one."""


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """That a compensation is of ``stage``. ``rows``: its input rows, which are to be undone where it put nothing out;
    None where it begins with none."""

    stage: StageId
    rows: Rel | None = None


class Fallback(msgspec.Struct, frozen=True, array_like=True):
    """A stage that runs because another failed: ``declared`` by that one's ``on_failure``, or by its own trigger."""

    stage: StageId
    declared: bool


class Tolerance(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many instances of a mapped stage may fail: a number, or a share of all in millionths."""

    count: int = 0
    millionths: int | None = None

    def holds(self, failed: int, of: int) -> bool:
        if self.millionths is None:
            return failed <= self.count
        return failed * 1_000_000 <= self.millionths * of

    def __bool__(self) -> bool:
        return bool(self.count or self.millionths)

    def __str__(self) -> str:
        return str(self.count) if self.millionths is None else f"{self.millionths / 10_000:g}%"


class MapPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a stage is mapped. ``instance``: what each instance does, as a stage; ``StageRows`` of ``INSTANCE`` are its
    own row. ``max_parallel``: how many may be at work at once."""

    instance: StagePlan
    max_parallel: int
    tolerate: Tolerance = Tolerance()


INSTANCE = ""
"""Stands for a stage whose rows are the one row that an instance is about: no stage has that name."""


class StagePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stage. ``upstreams`` and ``readers`` are the edges of the graph, both ascending and without doubles.

    A stage whose body is nothing but another stage's rows (``= from a``) has one ``QueryTask`` over ``StageRows``.
    ``when``: needs no rows; unless it is true, the stage is skipped. ``asks``: as ``when``, where it takes values out
    of other stages' rows or of their failure, so that the first task decides. ``probe``: skipped unless this has a row.
    ``columns``: those that its rows must turn out to have.

    ``controls`` are the upstreams that only its trigger names: it doesn't read them. ``chains``: stages of a fan-in
    that count as one upstream, each but the first the fallback of the one before. ``fallbacks``: its own. ``shape``:
    its columns, for those who may read it when it put nothing out; None where nobody does or nobody knows.
    ``connector``: the engine that it runs on, ``""`` for the profile's own. ``forking``: the stage in whose ``fork`` it
    stands.

    ``map``: it has instances. Then its own tasks are a split, a collecting one, and a route where it has one.

    ``hook``: it is no stage of the language, but what is done once all of these have ended, or what an update ends
    with. ``undoes``: it is a compensation; of a stage of which several things are undone it has an instance for each,
    and no task of its own. ``compensation``: what undoes this stage; ``undo_errors``: also where all that is known is
    that an attempt returned an error; ``undoes_iterations``: each iteration of its loop by itself.

    ``loop``: some of its tasks are repeated; of a mapped stage, those of each instance. ``continue_as_new``: at how
    many events the journal begins anew while it is at work. ``deadline``: from its first start on; after it, it is
    late.
    """

    name: str
    tasks: tuple[Task, ...]
    upstreams: tuple[StageId, ...] = ()
    readers: tuple[StageId, ...] = ()
    trigger: Trigger = Trigger()
    schedule_timeout: Millis | None = None
    when: Expr | None = None
    asks: Expr | None = None
    probe: Rel | None = None
    columns: tuple[tuple[str, Type], ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    cache: OneOf["none", "inputs"] = "none"
    controls: tuple[StageId, ...] = ()
    chains: tuple[tuple[StageId, ...], ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    on_failure: OneOf["fail", "skip"] = "fail"
    shape: tuple[tuple[str, Type], ...] | None = None
    connector: str = ""
    forking: StageId | None = None
    map: MapPlan | None = None
    hook: Hook | None = None
    undoes: Undo | None = None
    compensation: StageId | None = None
    undo_errors: bool = False
    loop: Loop | None = None
    continue_as_new: int | None = None
    deadline: Millis | None = None
    undoes_iterations: bool = False

    @property
    def all_tasks(self) -> tuple[Task, ...]:
        """Its own, those of its instances, and what is done key by key."""
        whole = self.tasks if self.map is None else (*self.tasks, *self.map.instance.tasks)
        return (*whole, *[step for task in whole if isinstance(task, ByKey) for step in task.tasks])

    @property
    def asks_children(self) -> bool:
        """Whether it is undone by the runs that it started."""
        return any(isinstance(task, ChildTask) and task.undoes_itself for task in self.tasks)

    @property
    def comes_last(self) -> bool:
        """Whether it comes once all stages have ended: no pause and no cancel concerns it."""
        return self.hook not in (None, "update")

    def behind(self, task: int) -> tuple[Task, ...]:
        """The tasks that are done behind one, at the least: a loop that comes behind it may do nothing."""
        if self.loop is None or task >= self.loop.test:
            return self.tasks[task + 1 :]
        return (*self.tasks[task + 1 : self.loop.test], *self.tasks[self.loop.end :])

    def of_instance(self, number: int) -> StagePlan:
        """The plan of an instance, of the stage itself for 0."""
        return self if self.map is None or not number else self.map.instance


class FlowParam(msgspec.Struct, frozen=True):
    """``default`` is a constant expression, None when the parameter is required."""

    name: str
    type: Type
    default: Expr | None = None


class Assignment(msgspec.Struct, frozen=True, array_like=True):
    """``set_x(…)``: what a variable becomes. ``value`` needs no rows."""

    variable: str
    value: Expr


class SignalPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message that the run takes. ``actions`` apply together; ``waiters``: the stages that wait for it, ascending."""

    name: str
    params: tuple[FlowParam, ...] = ()
    actions: tuple[Assignment, ...] = ()
    waiters: tuple[StageId, ...] = ()


class UpdatePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message whose sender waits for what became of it. ``where``: it is refused unless this is true; ``text`` as it
    is written. ``call``: the pseudo-stage that makes the call which it ends with, None for one without."""

    name: str
    params: tuple[FlowParam, ...] = ()
    actions: tuple[Assignment, ...] = ()
    where: Expr | None = None
    text: str = ""
    call: StageId | None = None


PAUSED = FlowParam("paused", BOOLEAN, Literal(False, BOOLEAN))
"""The variable that every run has: while it is true, nothing new of the run begins."""


class RunQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question that runs of the flow answer (flow language, section 8), changing nothing.

    ``value`` needs no rows. Else ``relation``: its rows, of ``columns`` where these are known, are the answer; where a
    ``type`` is given, the one value in them. Stages that put nothing out are read as no rows.
    """

    name: str
    params: tuple[FlowParam, ...] = ()
    value: Expr | None = None
    relation: Rel | None = None
    type: Type | None = None
    columns: tuple[tuple[str, Type], ...] | None = None


class FlowPlan(msgspec.Struct, frozen=True):
    """One version of one flow. ``declared`` lists the stages in order of declaration, without hooks, which come last of
    all; ``output`` is the stage whose rows the run yields. ``max_parallel``: how many stages may be at work at once,
    None for any number. ``fail_fast``: the first failure that nothing is there to handle cancels the rest.
    ``depth_limit``: how many runs may follow from each other, as child or by a jump. ``timezone``: of IANA's; that of
    the schedule and of ``run_date``. ``state``: its variables beside ``paused``, each with what it begins with;
    ``watchers``: the stages that wait until something is so of them. ``deadline``: from ``run_time`` on; after it, a
    run is late. ``concurrency``: how many of its runs may be open at once, 0 for any number, of those that give one
    value of ``concurrency_key``, over the parameters. ``after``: the runs of other flows that each of its runs comes
    after; ``reads``: what it reads of them."""

    flow: str
    version: int
    params: tuple[FlowParam, ...]
    stages: tuple[StagePlan, ...]
    declared: tuple[StageId, ...]
    output: StageId | None = None
    timeout: Millis | None = None
    cleanup_timeout: Millis = Millis(300_000)
    lost_limit: int = 3
    cancel_grace: Millis = Millis(10_000)
    key: Expr | None = None
    """Over the parameters: what there is but one run for. ``key_ttl`` and ``key_conflict`` are as in ``KeyedTask``."""
    key_ttl: Millis = DEFAULT_KEY_TTL
    key_conflict: KeyConflict = "error"
    max_parallel: int | None = None
    description: str = ""
    keep_runs: int | None = None
    fail_fast: bool = False
    depth_limit: int = 100
    timezone: str = "UTC"
    schedule: Schedule | None = None
    state: tuple[FlowParam, ...] = ()
    signals: tuple[SignalPlan, ...] = ()
    updates: tuple[UpdatePlan, ...] = ()
    watchers: tuple[StageId, ...] = ()
    queries: tuple[RunQuery, ...] = ()
    deadline: Millis | None = None
    concurrency: int = 0
    concurrency_key: Expr | None = None
    after: Alternatives = ()
    reads: tuple[UpstreamStage, ...] = ()

    @property
    def variables(self) -> tuple[FlowParam, ...]:
        """All variables of a run."""
        return (PAUSED, *self.state)

    def signal(self, name: str) -> SignalPlan | None:
        return next((one for one in self.signals if one.name == name), None)

    def update(self, name: str) -> UpdatePlan | None:
        return next((one for one in self.updates if one.name == name), None)

    @property
    def ref(self) -> FlowRef:
        return FlowRef(self.flow, self.version)

    def yielding(self, state_of: Callable[[StageId], str]) -> StageId | None:
        """The stage whose rows the run yields: the output, or where that failed the fallback that was used instead."""
        return None if self.output is None else self._standing_in(self.output, state_of) or self.output

    def _standing_in(self, id: StageId, state_of: Callable[[StageId], str]) -> StageId | None:
        if state_of(id) != "failed":
            return id if state_of(id) == "success" else None
        found = (self._standing_in(one.stage, state_of) for one in self.stages[id].fallbacks)
        return next((one for one in found if one is not None), None)

    @property
    def compensations(self) -> dict[StageId, StageId]:
        """By stage, what undoes it. O(stages)."""
        return {here.undoes.stage: StageId(i) for i, here in enumerate(self.stages) if here.undoes is not None}

    def stage_id(self, name: str) -> StageId | None:
        """The stage's number, or None. O(stages): for people's requests, not for the kernel."""
        return next((StageId(i) for i, stage in enumerate(self.stages) if stage.name == name), None)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a stage uses a name, to point at the text when the engine refuses it at run time. Lines and columns from
    1."""

    name: str
    file: str
    line: int
    column: int
    text: str = ""


class Bundle(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that a run pins, by ``FlowRef.key``. ``places`` (by flow key, then stage) is for messages and takes
    no part in the content hash, so moving a line changes no version."""

    flows: dict[str, FlowPlan]
    places: dict[str, dict[str, tuple[Place, ...]]] = {}

    def plan(self, ref: FlowRef) -> FlowPlan:
        return self.flows[ref.key]
