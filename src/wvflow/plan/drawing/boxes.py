"""What a stage's box says: its name, its work, its policies as badges; and how wide text is.

No font is asked: widths are those of a wide face (DejaVu Sans, Verdana), so what fits here fits in any. What doesn't
fit is cut, and stands in full in the box's title.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from unicodedata import combining, east_asian_width

from wvflow.lang.keys import is_delivery
from wvflow.plan.before import FlowBefore
from wvflow.plan.drawing.layout import Size, height_for
from wvflow.plan.explain import kind_of, policies_text, policy_items, stage_items, task_text, wait_text
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import (
    ActivityTask,
    ChildTask,
    DebugTask,
    LoopTask,
    QueryTask,
    RouteTask,
    Task,
    TestTask,
    UntilTask,
    ViewTask,
    WaitTask,
)
from wvflow.plan.triggers import NameOf, trigger_text

NAME, SMALL = 13.0, 10.5
"""Sizes of type."""

PADDING = 12.0
WIDEST, NARROWEST = 232.0, 112.0
PILL = 16.0
_PILL_PADDING, _PILL_GAP = 6.0, 5.0
_CLASSES = (("'.,:;|!ijlI ", 0.36), ('()[]{}/\\-"`rft', 0.46), ("mwMWOQ@%&—…", 1.0), ("<>=+~^#_", 0.84))
_WIDTHS = {letter: width for letters, width in _CLASSES for letter in letters}


KINDS = ("activate", "activity", "child", "route", "wait", "query")
"""Of work; a stage with several has the colour of the first of these."""


class Box(NamedTuple):
    """``work``: in a few words; ``kind``: how it is coloured; ``title``: all of it in full. ``is_flow``: it stands for
    another flow."""

    name: str
    work: str
    kind: str
    badges: tuple[str, ...]
    title: str
    is_output: bool
    size: Size
    is_flow: bool = False


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a text is at most, at a size of type."""
    return sum(map(_letter, text)) * size * (1.1 if bold else 1.0)


def _letter(letter: str) -> float:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    if combining(letter):
        return 0.0
    if east_asian_width(letter) in "WF" or ord(letter) > 0x2E7F:
        return 1.1
    return 0.77 if letter.isupper() else 0.65


def cut(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """The text, or as much of it as fits, and an ellipsis."""
    if text_width(text, size, bold=bold) <= width + 0.01:
        return text
    kept = text
    while kept and text_width(kept + "…", size, bold=bold) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def box_of(plan: FlowPlan, id: StageId, ports: int) -> Box:
    """The box of a stage where so many kinds of lines arrive."""
    stage = plan.stages[id]
    work, badges = " → ".join(_works(plan, id)), tuple(_badges(plan, stage))
    inner = max(
        text_width(stage.name, NAME, bold=True),
        text_width(work, SMALL),
        _width_for(badges),
    )
    width = min(max(inner + 2 * PADDING, NARROWEST), WIDEST)
    rows = _rows(badges, width - 2 * PADDING)
    height = 44.0 + (rows * (PILL + 4) + 2 if rows else 0.0)
    return Box(
        name=stage.name,
        work=work,
        kind=min(
            (kind for task in stage.all_tasks if (kind := kind_of(task)) in KINDS), key=KINDS.index, default="query"
        ),
        badges=badges,
        title="\n".join(_title(plan, stage)),
        is_output=id == plan.output,
        size=Size(width, max(height, height_for(ports))),
    )


def box_before(one: FlowBefore) -> Box:
    """The box of a flow that another comes after."""
    inner = max(text_width(one.flow, NAME, bold=True), text_width(one.how, SMALL))
    return Box(
        name=one.flow,
        work=one.how,
        kind="child",
        badges=(),
        title=f"the flow {one.flow}, a run of it that ended: {one.how}",
        is_output=False,
        size=Size(min(max(inner + 2 * PADDING, NARROWEST), WIDEST), 44.0),
        is_flow=True,
    )


# --- badges ---------------------------------------------------------------------------------------------------------

MOST_ROWS = 2
_SPARE = 24.0


class Pill(NamedTuple):
    """``x`` and ``y`` from the upper left corner of the badges."""

    text: str
    x: float
    y: float
    width: float


def pills(badges: tuple[str, ...], width: float) -> list[Pill]:
    """Badges in rows; those that have no room are counted in the last."""
    shown = len(badges)
    while shown:
        left = len(badges) - shown
        placed = _placed((*badges[:shown], *([f"+{left}"] if left else [])), width)
        if placed[-1].y < MOST_ROWS * (PILL + 4):
            return placed
        shown -= 1
    return _placed((f"+{len(badges)}",), width) if badges else []


def _placed(badges: tuple[str, ...], width: float) -> list[Pill]:
    found: list[Pill] = []
    x = y = 0.0
    for badge in badges:
        text = cut(badge, width - 2 * _PILL_PADDING, SMALL)
        if x and x + _pill(text) > width:
            x, y = 0.0, y + PILL + 4
        found.append(Pill(text, x, y, _pill(text)))
        x += _pill(text) + _PILL_GAP
    return found


def _width_for(badges: tuple[str, ...]) -> float:
    """So that the widest fits, and of several as many as there are rows for."""
    each = [_pill(badge) for badge in badges]
    return max(max(each), sum(each) / MOST_ROWS + _SPARE) if len(each) > MOST_ROWS else max(each, default=0.0)


def _pill(text: str) -> float:
    return text_width(text, SMALL) + 2 * _PILL_PADDING


def _rows(badges: tuple[str, ...], width: float) -> int:
    placed = pills(badges, width)
    return round(placed[-1].y / (PILL + 4)) + 1 if placed else 0


def _badges(plan: FlowPlan, stage: StagePlan) -> Iterator[str]:
    """What differs from the defaults and what people look for, the most telling first."""
    found: dict[str, Any] = {}
    for task in stage.all_tasks:
        found |= policy_items(task.policy)
    found |= stage_items(stage)
    if stage.trigger.condition is None and (text := trigger_text(stage.trigger, _name_in(plan))):
        yield text.removeprefix("trigger: ")
    if stage.on_failure == "skip":
        yield "on_failure skip"
    if stage.cache == "inputs":
        yield "cache"
    if stage.connector:
        yield f"on {stage.connector}"
    yield from (_badge(name, found[name]) for name in _TELLING if name in found)


_TELLING = ("retries", "timeout", "when", "skip_empty", "pool", "rate", "schedule_timeout", "heartbeat", "deadline")


def _badge(name: str, value: Any) -> str:
    return name if value is True else f"{name} {str(value).strip('()')}".strip()


# --- work -----------------------------------------------------------------------------------------------------------


def _works(plan: FlowPlan, id: StageId) -> Iterator[str]:
    stage = plan.stages[id]
    if stage.map is not None:
        yield f"each {' → '.join(_tasks(stage.map.instance.tasks))}"
    yield from _tasks(stage.tasks if stage.map is not None else stage.all_tasks)
    if any(plan.stages[reader].forking == id for reader in stage.readers):
        yield "fork"


def _tasks(tasks: Sequence[Task]) -> Iterator[str]:
    """Each in a word or two; the query that only makes the rows of the next task is left out."""
    for task, following in zip(tasks, (*tasks[1:], None), strict=True):
        match task:
            case QueryTask(save=save) if save is not None:
                yield f"save to {save.target}"
            case QueryTask() if following is None or not isinstance(following, ActivityTask | ChildTask):
                yield "query"
            case ViewTask():
                yield "view"
            case ChildTask(flow=flow):
                yield f"run {flow.flow}"
            case ActivityTask(activity=name, function=function):
                yield f"activate {name}" if is_delivery(function) else f"{name}()"
            case WaitTask() | UntilTask():
                yield wait_text(task)
            case LoopTask(text=text):
                yield f"while {text}"
            case RouteTask() | TestTask() | DebugTask():
                yield kind_of(task)


def _title(plan: FlowPlan, stage: StagePlan) -> Iterator[str]:
    yield stage.name
    if stage.description:
        yield stage.description
    yield from (task_text(task) for task in stage.all_tasks)
    if stage.trigger.condition is not None:
        yield trigger_text(stage.trigger, _name_in(plan))
    if policies := policies_text(stage):
        yield policies


def _name_in(plan: FlowPlan) -> NameOf:
    return lambda one: plan.stages[one].name
