"""What people and programs tell a run: signals, accepted updates, and to pause (flow language, section 8).

The actions of a message are evaluated over the values of before and apply together, or not at all where one of them has
no value. Behind them, the stages that wait for it are told: for the signal, or until something is so of the state.

Signals that stages wait for are kept (``mail``). A message never comes too late: a run that has ended keeps it, for the
case that it is reopened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from wvflow.errors import EvaluationError, UnexpectedEvent
from wvflow.kernel.calls import ENDING, takes_calls
from wvflow.kernel.draft import Draft
from wvflow.kernel.events import Failure, PauseRequested, SignalReceived, Told, UpdateAccepted
from wvflow.kernel.mail import Mail, with_signal
from wvflow.kernel.pauses import go_on, pause
from wvflow.kernel.state import Call, Phase, RunState, StageState
from wvflow.kernel.told import SignalCame, StageEvent, StateChanged
from wvflow.kernel.values import holds, run_values, variable
from wvflow.lang.evaluate import evaluate
from wvflow.lang.values import to_json, to_python
from wvflow.plan.nodes import PAUSED, FlowPlan, SignalPlan, UpdatePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import SignalTask, StateTask, Task

Variables = dict[str, object]


def receive(draft: Draft, event: Told) -> None:
    """Apply a message to a run, whatever it is at."""
    if isinstance(event, PauseRequested):
        _assign(draft, {PAUSED.name: event.paused})
        return
    message = message_of(draft.plan, event)
    found = assigned(draft.plan, draft.run, message, event.args)
    if isinstance(message, SignalPlan) and message.waiters:
        before = Mail(draft.run.mail, draft.run.past)
        mail = with_signal(before, draft.plan, message, event.args, draft.stage)
        draft.run = replace(draft.run, mail=dict(mail.kept), past=dict(mail.past))
    if not isinstance(found, Failure):
        _assign(draft, found)
    if isinstance(event, UpdateAccepted) and isinstance(message, UpdatePlan) and message.call is not None:
        draft.call(message.call, Call(event.message, event.args))
    if isinstance(message, SignalPlan):
        _tell(draft, message.waiters, lambda task: _is_for(task, message.name), SignalCame(draft.now))


def message_of(plan: FlowPlan, event: SignalReceived | UpdateAccepted) -> SignalPlan | UpdatePlan:
    """What the flow has to do with a message.

    Raises:
        UnexpectedEvent: nothing. Whoever accepted it was to know.
    """
    found = plan.signal(event.name) if isinstance(event, SignalReceived) else plan.update(event.name)
    if found is None:
        raise UnexpectedEvent(f"the flow `{plan.flow}` takes no such message: {event}")
    return found


def assigned(
    plan: FlowPlan, run: RunState, message: SignalPlan | UpdatePlan, args: Mapping[str, object]
) -> Variables | Failure:
    """What the actions of a message make of the state, as JSON values; a failure where one of them has no value."""
    kinds = {one.name: one.type for one in plan.variables}
    values = _values(plan, run, message, args) if message.actions else {}
    found: Variables = {}
    for one in message.actions:
        try:
            found[one.variable] = to_json(evaluate(one.value, values))
            to_python(found[one.variable], kinds[one.variable])
        except (EvaluationError, ValueError) as error:
            return Failure("EvaluationError", f"`{one.variable}` can't be set by `{message.name}`: {error}")
    return found


def is_accepted(plan: FlowPlan, run: RunState, update: UpdatePlan, args: Mapping[str, object]) -> bool | Failure:
    """Whether an update is for the run as it is."""
    if update.call is not None and not takes_calls(run.phase):
        return ENDING
    if update.where is None:
        return True
    return holds(update.where, _values(plan, run, update, args), f"`where` of `{update.name}`")


def state_at_start(plan: FlowPlan, run: RunState) -> Variables | Failure:
    """What the variables of a run begin with; a failure where one of them has no value."""
    values, found = run_values(plan, run) if plan.state else {}, dict[str, object]()
    for one in plan.state:
        try:
            found[one.name] = None if one.default is None else to_json(evaluate(one.default, values))
            to_python(found[one.name], one.type)
        except (EvaluationError, ValueError) as error:
            return Failure("EvaluationError", f"state `{one.name}` can't begin: {error}", retryable=False)
    return found


def unpaused(run: RunState) -> Variables:
    """The state of a run that is to go on."""
    return {name: value for name, value in run.variables.items() if name != PAUSED.name}


def _values(
    plan: FlowPlan, run: RunState, message: SignalPlan | UpdatePlan, args: Mapping[str, object]
) -> Mapping[str, object]:
    """What a message may name: all of the run, hidden by what came with it."""
    given = {one.name: to_python(args.get(one.name), one.type) for one in message.params}
    return run_values(plan, run).beside(given)


def _assign(draft: Draft, changes: Variables) -> None:
    before = draft.run
    if all(variable(before, name) == value for name, value in changes.items()):
        return
    draft.run = replace(before, variables={**before.variables, **changes})
    if variable(draft.run, PAUSED.name):
        pause(draft)
    else:
        go_on(draft)
    _tell(draft, draft.plan.watchers, lambda task: isinstance(task, StateTask), StateChanged(draft.now))


def _is_for(task: Task, signal: str) -> bool:
    return isinstance(task, SignalTask) and task.signal == signal


def _tell(draft: Draft, ids: Iterable[StageId], concerns: Callable[[Task], bool], event: StageEvent) -> None:
    """Tell those of these stages, and of their instances, that wait at such a task."""

    def waits(one: StageState, tasks: tuple[Task, ...]) -> bool:
        return one.phase is Phase.WAITING and concerns(tasks[len(one.done)])

    for waiting in ids:
        here, stage = draft.plan.stages[waiting], draft.stage(waiting)
        if waits(stage, here.tasks):
            draft.move(waiting, event)
        elif stage.phase is Phase.MAPPING and here.map is not None and stage.instances is not None:
            tasks = here.map.instance.tasks
            told = [one for one in draft.open_instances(waiting) if waits(stage.instances[one], tasks)]
            for number in told:
                draft.move_instance(waiting, number, event)
