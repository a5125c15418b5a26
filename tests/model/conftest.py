"""Random small plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import get_args

import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from wvflow.lang.algebra import Binary, Literal, Single, Value
from wvflow.lang.relations import nodes
from wvflow.lang.types import BOOLEAN, LONG, NULL, STRING
from wvflow.plan.nodes import (
    CLEANUP_RULES,
    EAGER_RULES,
    AllOf,
    AnyOf,
    Assignment,
    Condition,
    Fallback,
    FlowParam,
    FlowPlan,
    Hook,
    MapPlan,
    Negation,
    Rule,
    SignalPlan,
    StagePlan,
    StateIs,
    Tolerance,
    Trigger,
    Undo,
    UpdatePlan,
)
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import (
    ActivityTask,
    ChildTask,
    CollectTask,
    KeyedTask,
    Loop,
    LoopTask,
    ParentClose,
    Policy,
    QueryTask,
    SignalTask,
    SplitTask,
    StateTask,
    Task,
    UndoChildrenTask,
    UndoKeysTask,
    UntilTask,
    WaitTask,
    is_effect,
)

BOOLEANS = (Literal(True, BOOLEAN), Literal(False, BOOLEAN), Literal(None, NULL))
HOOKS: tuple[Hook, ...] = ("on_failure", "on_success", "on_cancel", "on_finish", "jump")


def _plan(
    upstreams: list[tuple[int, ...]],
    tasks: list[list[Task]],
    gates: list[dict[str, object]] | None = None,
    hooks: Sequence[tuple[Hook, list[Task]]] = (),
    undoing: Mapping[int, tuple[list[Task], bool]] = MappingProxyType({}),
    call: Task | None = None,
    **flow: object,
) -> FlowPlan:
    """``gates``: by stage, what else decides whether it runs. Jumps are of the first stage. ``call``: what the update
    ends with."""
    stages = tuple(
        StagePlan(
            f"s{index}",
            _mapped(tasks[index]) if gates and gates[index]["map"] else tuple(tasks[index]),
            tuple(map(StageId, sources)),
            tuple(StageId(reader) for reader, read in enumerate(upstreams) if index in read),
            **(_of_stage(gates[index]) if gates else {}),  # type: ignore[arg-type]
        )
        for index, sources in enumerate(upstreams)
    )
    every = tuple(map(StageId, range(len(stages))))
    jumps = tuple(StageId(len(stages) + number) for number, (hook, _) in enumerate(hooks) if hook == "jump")
    first = replace(stages[0], readers=(*stages[0].readers, *jumps))
    whole = _undone((first, *stages[1:], *(_hook(number, *one) for number, one in enumerate(hooks))), undoing)
    calling = () if call is None else (StagePlan("ask()", (call,), hook="update"),)
    plan = FlowPlan("F", 1, (), (*whole, *calling), every, output=every[-1], **flow)  # type: ignore[arg-type]
    watchers, updates = _having(whole, StateTask), (UpdatePlan("ask", actions=COUNT, call=StageId(len(whole))),)
    told = {"signals": _signals(_having(whole, SignalTask)), "updates": updates if calling else ()}
    return replace(plan, state=STATE, watchers=watchers, **told)  # type: ignore[arg-type]


def _having(stages: Sequence[StagePlan], kind: type[Task]) -> tuple[StageId, ...]:
    """Those with such a task."""
    found = [index for index, here in enumerate(stages) if any(isinstance(one, kind) for one in here.all_tasks)]
    return tuple(map(StageId, found))


N = Value("n", LONG)
STATE = (FlowParam("n", LONG, Literal(0, LONG)),)


COUNT = (Assignment("n", Binary("+", N, Literal(1, LONG), LONG)),)


def _signals(waiters: tuple[StageId, ...]) -> tuple[SignalPlan, ...]:
    """One to wait for, which counts, and one that pauses at every other."""
    odd = Binary("=", Binary("%", N, Literal(2, LONG), LONG), Literal(0, LONG), BOOLEAN)
    return (
        SignalPlan("go", actions=COUNT, waiters=waiters),
        SignalPlan("stop", actions=(Assignment("paused", odd),)),
    )


def _of_stage(gate: dict[str, object]) -> dict[str, object]:
    """Of a mapped stage, what is repeated is the instances'."""
    return gate | {"loop": None} if gate["map"] else gate


def _hook(number: int, hook: Hook, tasks: list[Task]) -> StagePlan:
    source = (StageId(0),) if hook == "jump" else ()
    return StagePlan(f"{hook} {number}", tuple(tasks), upstreams=source, controls=source, hook=hook)


def _undone(stages: Sequence[StagePlan], undoing: Mapping[int, tuple[list[Task], bool]]) -> tuple[StagePlan, ...]:
    """The stages, and behind them the compensations of some, by the numbers of these."""
    made = list(stages)
    for owner, (tasks, errors) in undoing.items():
        here, own = made[owner], {"compensation": StageId(len(made)), "undo_errors": errors}
        if any(isinstance(one, KeyedTask) for one in here.all_tasks):
            tasks = [UndoKeysTask((QueryTask(Single()),), tasks[0].policy)]
        elif not errors and any(isinstance(one, ChildTask) and not one.detach for one in here.all_tasks):
            here, tasks = _asked(here), [UndoChildrenTask()]
        body = StagePlan(f"undo {here.name}", tuple(tasks), hook="compensation", undoes=Undo(StageId(owner)))
        iterations = not isinstance(tasks[0], UndoKeysTask | UndoChildrenTask) and _acts_again(here.of_instance(1))
        if here.map is not None:
            instance = replace(here.map.instance, **own, undoes_iterations=iterations)
            here = replace(here, map=replace(here.map, instance=instance))
        else:
            here = replace(here, undoes_iterations=iterations)
        if here.map is not None or iterations:
            body = replace(body, tasks=(), map=MapPlan(StagePlan(body.name, tuple(tasks)), 1))
        made[owner] = replace(here, **own)
        made.append(body)
    return tuple(made)


def _acts_again(body: StagePlan) -> bool:
    """Whether a loop does anything, and what is behind it doesn't."""
    loop = body.loop
    if loop is None or any(map(is_effect, body.tasks[loop.end :])):
        return False
    return any(map(is_effect, body.tasks[loop.test : loop.end]))


def _asked(here: StagePlan) -> StagePlan:
    """A stage whose children undo themselves with it."""
    own = (replace(one, undoes_itself=not one.detach) if isinstance(one, ChildTask) else one for one in here.tasks)
    how = None if here.map is None else replace(here.map, instance=_asked(here.map.instance))
    return replace(here, tasks=tuple(own), map=how)


def _mapped(tasks: list[Task]) -> tuple[Task, ...]:
    """What a mapped stage does itself."""
    return SplitTask(Single(), policy=tasks[0].policy), CollectTask(policy=tasks[-1].policy)


def _maps(name: str, tasks: list[Task], loop: Loop | None) -> st.SearchStrategy[MapPlan | None]:
    tolerated = st.sampled_from([Tolerance(), Tolerance(1), Tolerance(millionths=500_000)])
    return st.none() | st.builds(
        MapPlan, st.just(StagePlan(name, tuple(tasks), loop=loop)), st.sampled_from([1, 2, 500]), tolerated
    )


def _conditions(upstreams: tuple[int, ...]) -> st.SearchStrategy[Condition]:
    states = st.sampled_from(["success", "failed", "skipped", "cancelled", "done"])
    leaves: st.SearchStrategy[Condition] = st.builds(
        StateIs, st.sampled_from([StageId(one) for one in upstreams]), states
    )
    return (
        leaves
        | st.builds(Negation, leaves)
        | st.builds(AnyOf, st.tuples(leaves, leaves))
        | st.builds(AllOf, st.tuples(leaves, leaves))
    )


@st.composite
def _triggers(draw: st.DrawFn, upstreams: tuple[int, ...], eager: bool) -> Trigger:
    if not upstreams or draw(st.booleans()):
        return Trigger()
    if draw(st.booleans()):
        rule = draw(st.sampled_from(get_args(Rule)))
        return Trigger(rule, eager and rule in EAGER_RULES, cleanup=rule in CLEANUP_RULES)
    condition = draw(_conditions(upstreams))
    leaves = [node for node in nodes(condition) if isinstance(node, StateIs)]
    cleanup = any(leaf.state in ("done", "cancelled") for leaf in leaves)
    return Trigger(condition=condition, named=tuple(sorted({leaf.stage for leaf in leaves})), cleanup=cleanup)


def _fallbacks(triggers: list[Trigger], chosen: list[bool]) -> list[tuple[Fallback, ...]]:
    """Of each stage: those that run because it failed; some of them named by it."""
    found: list[list[Fallback]] = [[] for _ in triggers]
    for stage, trigger in enumerate(triggers):
        match trigger.condition:
            case StateIs(stage=owner, state="failed"):
                found[owner].append(Fallback(StageId(stage), chosen[stage]))
    return [tuple(sorted(several, key=lambda one: not one.declared)) for several in found]


def _tasks(policies: st.SearchStrategy[Policy], *, effects: bool = False) -> st.SearchStrategy[Task]:
    query = st.builds(QueryTask, st.just(Single()), policies)
    wait = st.builds(WaitTask, st.sampled_from([Millis(0), Millis(300), Literal("700ms", STRING)]), policies)
    until = st.builds(UntilTask, st.just(Single()), st.just(Single()), policy=policies)
    child = st.builds(
        ChildTask,
        st.just(FlowRef("G")),
        policy=policies,
        parent_close=st.sampled_from(get_args(ParentClose)),
        detach=st.sampled_from([False, False, True]),
    )
    keyed = st.builds(
        KeyedTask, st.just(Literal("k", STRING)), st.just((QueryTask(Single()),)), by_row=st.booleans(), policy=policies
    )
    call = st.builds(ActivityTask, st.just("f"), policy=policies)
    if effects:
        return st.one_of(call, call, keyed, child)
    signal = st.builds(SignalTask, st.just("go"), policies)
    state = st.builds(StateTask, st.sampled_from([_at_least(0), _at_least(2)]), policy=policies)
    return st.one_of(query, query, call, keyed, wait, until, child, child, signal, state)


def _at_least(number: int) -> Binary:
    return Binary(">=", N, Literal(number, LONG), BOOLEAN)


@st.composite
def _loops(draw: st.DrawFn, tasks: list[Task], policies: st.SearchStrategy[Policy]) -> Loop | None:
    """Where a stage's last tasks are repeated; then it gets the test in front of them."""
    if len(tasks) < 2 or draw(st.booleans()):
        return None
    test = draw(st.integers(1, len(tasks) - 1))
    conditions = [Single(), Single(), Literal(False, BOOLEAN), Literal(None, NULL), Literal("odd", STRING)]
    tasks.insert(test, LoopTask(draw(st.sampled_from(conditions)), policy=draw(policies)))
    return Loop(test, len(tasks) - draw(st.sampled_from([0, 0, len(tasks) > test + 2])))


@st.composite
def _plans(draw: st.DrawFn, timeouts: bool = False, sagas: bool = False) -> FlowPlan:
    """``timeouts``: with what depends on how long things take. ``sagas``: all that is done can be undone."""
    size = draw(st.integers(1, 5))
    upstreams = [
        tuple(sorted(draw(st.sets(st.integers(0, index - 1), max_size=2)))) if index else () for index in range(size)
    ]
    limits = st.sampled_from([None, None, Millis(400)]) if timeouts else st.none()
    policies = st.builds(
        Policy,
        retries=st.sampled_from([0, 1, 2]),
        retry_delay=st.sampled_from([Millis(0), Millis(100)]),
        backoff=st.sampled_from(["constant", "linear", "exponential"]),
        jitter=st.sampled_from([0, 500_000]),
        timeout=limits,
        start_timeout=limits,
        priority=st.sampled_from([0, 0, 5]),
    )
    gate = st.fixed_dictionaries(
        {
            "when": st.none() if sagas else st.sampled_from([None, None, *BOOLEANS]),
            "probe": st.sampled_from([None, Single()]),
        }
    )
    tasks = [draw(st.lists(_tasks(policies, effects=sagas), min_size=1, max_size=3)) for _ in range(size)]
    loops = [draw(_loops(some, policies)) for some in tasks]
    triggers = [draw(_triggers(sources, timeouts)) for sources in upstreams]
    fallbacks = _fallbacks(triggers, draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    gates = [
        {
            **draw(gate),
            "trigger": triggers[index],
            "fallbacks": fallbacks[index],
            "chains": _chains(upstreams[index], triggers[index], fallbacks) if draw(st.booleans()) else (),
            "controls": tuple(StageId(one) for one in triggers[index].named if draw(st.booleans())),
            "on_failure": draw(st.sampled_from(["fail", "fail", "skip"])),
            "map": draw(_maps(f"s{index}", tasks[index], loops[index])),
            "loop": loops[index],
            "deadline": draw(st.sampled_from([None, Millis(1), Millis(400)])) if timeouts else None,
        }
        for index in range(size)
    ]
    return _plan(
        upstreams,
        tasks,
        gates,
        draw(
            st.lists(
                st.tuples(st.sampled_from(HOOKS), st.lists(_tasks(policies), min_size=1, max_size=2)),
                max_size=2,
            )
        ),
        {
            owner: (draw(st.lists(_tasks(policies), min_size=1, max_size=2)), draw(st.booleans()))
            for owner in range(size)
            if sagas or draw(st.booleans())
        },
        call=draw(st.builds(ActivityTask, st.just("f"), policy=policies)),
        fail_fast=timeouts and draw(st.booleans()),
        lost_limit=draw(st.sampled_from([0, 1, 3])),
        cancel_grace=Millis(200),
        max_parallel=draw(st.sampled_from([None, 1, 2])),
        deadline=draw(st.sampled_from([None, Millis(0), Millis(700)])) if timeouts else None,
    )


def _chains(
    upstreams: tuple[int, ...], trigger: Trigger, fallbacks: list[tuple[Fallback, ...]]
) -> tuple[tuple[StageId, ...], ...]:
    free = [StageId(one) for one in upstreams if one not in trigger.named]
    return tuple((one, other.stage) for one in free for other in fallbacks[one][:1] if other.stage in free)


Plans = Callable[..., st.SearchStrategy[FlowPlan]]


@pytest.fixture(scope="session")
def plans() -> Plans:
    return _plans


Build = Callable[..., FlowPlan]


@pytest.fixture
def chain() -> Build:
    """A plan of ``size`` stages, each reading the one before, all under one policy."""

    def build(size: int, policy: Policy = Policy(), **flow: object) -> FlowPlan:  # noqa: B008 - immutable
        tasks: list[Task] = [QueryTask(Single(), policy)]
        return _plan([(index - 1,) if index else () for index in range(size)], [tasks] * size, **flow)

    return build
