"""A flow as SVG: readable in light and in dark, without scripts, ids or fonts of its own, so it can stand anywhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from wvflow.lang.durations import format_duration
from wvflow.plan.before import FlowBefore, before
from wvflow.plan.dependencies import after_text
from wvflow.plan.drawing.boxes import KINDS, NAME, PADDING, PILL, SMALL, Box, box_before, box_of, cut, pills, text_width
from wvflow.plan.drawing.layers import Link, Port
from wvflow.plan.drawing.layout import ARROW, MARGIN, Label, Layout, Line, Placed, arranged
from wvflow.plan.drawing.paths import Path
from wvflow.plan.edges import edges
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId

HEAD = 58.0  # of the title
TITLE = 16.0
_LABEL = 150.0  # the widest

_LIGHT = {
    "page": "#ffffff",
    "text": "#1f2328",
    "soft": "#59636e",
    "box": "#f6f8fa",
    "edge": "#d1d9e0",
    "line": "#818b98",
    "alert": "#bc4c00",
    "pill": "#e6eaef",
    "output": "#0969da",
    "query": "#0969da",
    "activity": "#8250df",
    "activate": "#1a7f37",
    "route": "#9a6700",
    "child": "#bf3989",
    "wait": "#818b98",
}
_DARK = {
    "page": "#0d1117",
    "text": "#f0f6fc",
    "soft": "#9198a1",
    "box": "#151b23",
    "edge": "#3d444d",
    "line": "#656c76",
    "alert": "#f0883e",
    "pill": "#262c36",
    "output": "#4493f8",
    "query": "#4493f8",
    "activity": "#ab7df8",
    "activate": "#3fb950",
    "route": "#d29922",
    "child": "#db61a2",
    "wait": "#656c76",
}
_FOREIGN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif"


def svg(plan: FlowPlan) -> str:
    """The picture of a plan, as a document of its own."""
    flows = before(plan)
    lines = [*_from_flows(flows), *_from_stages(plan, len(flows))]
    arriving: dict[int, set[Port]] = defaultdict(set)
    for link, _ in lines:
        arriving[link.target].add(link.port)
    stages = [box_of(plan, StageId(index), len(arriving[len(flows) + index])) for index in range(len(plan.stages))]
    boxes = [*map(box_before, flows), *stages]
    links = [link for link, _ in lines]
    widths = {link.port.label: text_width(link.port.label, SMALL) for link in links}
    layout = arranged([box.size for box in boxes], links, widths)
    return "\n".join(_document(plan, boxes, layout, {link.port: label for link, label in lines}))


def _from_flows(flows: Sequence[FlowBefore]) -> Iterator[tuple[Link, str]]:
    """The lines from the flows that it comes after, whose boxes come first, each with its label in full."""
    for number, one in enumerate(flows):
        for reading in one.readings:
            label = ", ".join(reading.stages)
            yield Link(number, len(flows) + reading.target, _port(reading.kind, label)), label


def _from_stages(plan: FlowPlan, first: int) -> Iterator[tuple[Link, str]]:
    """Those between its stages, the boxes of which begin with that number."""
    for edge in edges(plan):
        yield Link(first + edge.source, first + edge.target, _port(edge.kind, edge.label)), edge.label


def _text(text: str) -> str:
    """Any text as content or attribute; what XML can't hold is replaced."""
    return escape(_FOREIGN.sub("\N{REPLACEMENT CHARACTER}", text), {'"': "&quot;"})


def _port(kind: str, label: str) -> Port:
    return Port(kind, cut(label, _LABEL, SMALL))


def _document(plan: FlowPlan, boxes: list[Box], layout: Layout, labels: dict[Port, str]) -> Iterator[str]:
    head = _headline(plan)
    width = max(
        layout.width, text_width(head[0], TITLE, bold=True) + 2 * MARGIN, text_width(head[1], SMALL) + 2 * MARGIN
    )
    height = layout.height + HEAD - MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" class="wvflow" role="img" {size} style="{_FONT}">'
    yield f"<title>{_text(' '.join([plan.flow, plan.description]).strip())}</title>"
    yield f"<style>{_rules(_LIGHT)}\n@media (prefers-color-scheme:dark){{{_rules(_DARK)}}}</style>"
    yield f'<rect class="page" width="{width:.0f}" height="{height:.0f}" rx="8"/>'
    yield f'<text class="name" x="{MARGIN:g}" y="30" font-size="{TITLE:g}">{_text(head[0])}</text>'
    yield f'<text class="soft" x="{MARGIN:g}" y="47" font-size="{SMALL:g}">{_text(head[1])}</text>'
    yield f'<g transform="translate(0 {HEAD - MARGIN:g})">'
    yield from _lines(layout.lines)
    for label in layout.labels:
        yield _label(label, labels[label.port])
    for box, placed in zip(boxes, layout.boxes, strict=True):
        yield from _stage(box, placed)
    yield "</g>\n</svg>\n"


def _headline(plan: FlowPlan) -> tuple[str, str]:
    params = ", ".join(f"{param.name}: {param.type}" for param in plan.params)
    version = f" @version({plan.version})" if plan.version != 1 else ""
    count = len(plan.declared)
    facts = [f"{count:,} stage{'' if count == 1 else 's'}"]
    facts += [f"max_parallel {plan.max_parallel}"] if plan.max_parallel is not None else []
    facts += [f"timeout {format_duration(plan.timeout)}"] if plan.timeout is not None else []
    facts += [after_text(plan.after)] if plan.after else []
    facts += ["fail_fast"] if plan.fail_fast else []
    return cut(f"{plan.flow}{version}" + (f"({params})" if params else ""), 1_200, TITLE), " · ".join(facts)


def _rules(colors: dict[str, str]) -> str:
    """The style sheet, under the class of the document alone."""
    kinds = "".join(f".wvflow .{kind}{{fill:{colors[kind]}}}" for kind in KINDS)
    return (
        f".wvflow .page{{fill:{colors['page']}}}"
        f".wvflow .name{{fill:{colors['text']};font-weight:600}}"
        f".wvflow .soft{{fill:{colors['soft']}}}"
        f".wvflow .box{{fill:{colors['box']};stroke:{colors['edge']}}}"
        f".wvflow .output{{stroke:{colors['output']};stroke-width:2}}"
        ".wvflow .flow{stroke-dasharray:5 4}"
        f".wvflow .pill{{fill:{colors['pill']}}}"
        f".wvflow .badge{{fill:{colors['text']}}}"
        f".wvflow .line{{fill:none;stroke:{colors['line']};stroke-width:1.4}}"
        f".wvflow .trigger{{stroke:{colors['alert']};stroke-dasharray:5 4}}"
        f".wvflow .order{{stroke-dasharray:1.5 4;stroke-linecap:round}}"
        f".wvflow .head{{fill:{colors['line']}}}"
        f".wvflow .head.of-trigger{{fill:{colors['alert']}}}"
        f".wvflow .told{{fill:{colors['soft']}}}"
        f".wvflow .told.of-trigger{{fill:{colors['alert']}}}"
        f"{kinds}"
    )


# --- lines ----------------------------------------------------------------------------------------------------------


def _lines(lines: list[Line]) -> Iterator[str]:
    """Solid ones first, so that dashes lie above them."""
    for line in sorted(lines, key=lambda line: line.kind == "trigger"):
        yield f'<path class="line {line.kind}" d="{_data(line.path, ARROW - 1 if line.arrow else 0)}"/>'
    for x, y, kind in sorted({(*line.path[-1][-1], line.kind) for line in lines if line.arrow}):
        yield f'<path class="head of-{kind}" d="M{x:g} {y:g}l{-ARROW:g} -4v8z"/>'


def _data(path: Path, shorter: float) -> str:
    """As path data; an arrow's line ends inside of its head."""
    (start,), *pieces = path
    *others, last = pieces
    end = (last[-1][0] - shorter, last[-1][1])
    words = [f"M{_at(start)}"]
    words += [f"{'C' if len(piece) == 3 else 'L'}{' '.join(map(_at, piece))}" for piece in (*others, (*last[:-1], end))]
    return "".join(words)


def _at(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _label(label: Label, whole: str) -> str:
    text = _text(label.port.label)
    title = f"<title>{_text(whole)}</title>" if whole != label.port.label else ""
    return (
        f'<text class="told of-{label.port.kind}" x="{label.x:.1f}" y="{label.y:.1f}" font-size="{SMALL:g}" '
        f'text-anchor="end">{title}{text}</text>'
    )


# --- stages ---------------------------------------------------------------------------------------------------------


def _stage(box: Box, at: Placed) -> Iterator[str]:
    inner = at.width - 2 * PADDING
    yield f'<g data-{"flow" if box.is_flow else "stage"}="{_text(box.name)}"><title>{_text(box.title)}</title>'
    output = " output" if box.is_output else " flow" if box.is_flow else ""
    frame = f'x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" rx="6"'
    yield f'<rect class="box{output}" {frame}/>'
    stripe = f'x="{at.x + 4:.1f}" y="{at.y + 8:.1f}" width="3" height="{at.height - 16:.1f}" rx="1.5"'
    yield f'<rect class="{box.kind}" {stripe}/>'
    content = 44.0 + (pills(box.badges, inner)[-1].y + PILL + 6 if box.badges else 0.0)
    x, y = at.x + PADDING, at.y + (at.height - content) / 2
    name = cut(box.name, inner, NAME, bold=True)
    yield f'<text class="name" x="{x:.1f}" y="{y + 19:.1f}" font-size="{NAME:g}">{_text(name)}</text>'
    work = cut(box.work, inner, SMALL)
    yield f'<text class="soft" x="{x:.1f}" y="{y + 34:.1f}" font-size="{SMALL:g}">{_text(work)}</text>'
    for pill in pills(box.badges, inner):
        left, top = x + pill.x, y + 42 + pill.y
        yield f'<rect class="pill" x="{left:.1f}" y="{top:.1f}" width="{pill.width:.1f}" height="{PILL:g}" rx="8"/>'
        middle = left + pill.width / 2
        yield (
            f'<text class="badge" x="{middle:.1f}" y="{top + 11.5:.1f}" font-size="{SMALL:g}" '
            f'text-anchor="middle">{_text(pill.text)}</text>'
        )
    yield "</g>"
