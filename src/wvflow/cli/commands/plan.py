"""``wvflow plan``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from wvflow.cli.app import App
from wvflow.cli.format import plural
from wvflow.cli.root import Command
from wvflow.plan.refs import FlowRef

if TYPE_CHECKING:
    from wvflow.service.changes import FlowChange, OpenRun

_MARKS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red"), "settings": ("·", "cyan")}
_TO_DO = {"added": "to add", "changed": "to change", "removed": "to remove"}


@click.command(cls=Command)
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@click.pass_obj
def plan(app: App, path: Path) -> None:
    """Tell what the program of PATH (a file or folder; default: this project) would change against what runs have
    recorded: flows, stages, state, signals, updates and queries added, changed and removed, settings, and of each
    open run whether it could go on under today's plan. Nothing is run, nothing is changed: runs keep the plan that they
    began with.

    JSON: an object with `flows`, and `changes`, whether there are any.

    Exit status: 0 told, with or without changes; 1 the program has errors.
    """
    from wvflow.cli.programs import compiled
    from wvflow.service.changes import changes

    project, _, bundle = compiled(app, path)
    found = changes(project, bundle)
    if app.json:
        app.print_json({"changes": any(one.change != "unchanged" for one in found), "flows": found})
        return
    for text in _told(found):
        app.show(text)


def _told(flows: Sequence[FlowChange]) -> Iterator[Text]:
    shown = [one for one in flows if one.change != "unchanged" or one.open_runs]
    for one in shown:
        yield from _flow(one)
        yield Text("")
    counts: Counter[str] = Counter(one.change for one in flows)
    said = [f"{plural(counts[kind], 'flow')} {words}" for kind, words in _TO_DO.items() if counts[kind]]
    yield Text(", ".join(said) if said else "no changes: the program is what runs have recorded", style="bold")


def _flow(flow: FlowChange) -> Iterator[Text]:
    mark, color = _MARKS.get(flow.change, (" ", ""))
    against = f"  (recorded by run {flow.recorded})" if flow.recorded else "  (never run)"
    yield Text.assemble((f"{mark} {FlowRef(flow.flow, flow.version).shown}", f"bold {color}"), (against, "dim"))
    told = [(f"{one.kind} {one.name}", one.change, one.why) for one in flow.conversation]
    parts = [*((one.stage, one.change, one.why) for one in flow.stages), *told]
    width = max((len(name) for name, _, _ in parts), default=0)
    for name, change, why in parts:
        mark, color = _MARKS[change]
        yield Text.assemble((f"    {mark} {name:<{width}}", color), (f"  {why}" if why else "", "dim"))
    for one in flow.settings:
        yield Text(f"    · {one.name}: {one.before or 'none'} → {one.after or 'none'}")
    for run in flow.open_runs:
        yield Text.assemble(f"    run {run.run_id}  {run.state}  ", (_movable(run, flow), "dim"))


def _movable(run: OpenRun, flow: FlowChange) -> str:
    if run.target is None:
        return f"goes on as it began; the program has no {flow.flow} any more"
    where = f"could go on as version {run.target}" if run.target != flow.version else "could go on under this plan"
    if run.movable:
        return where
    again = ", ".join(f"{name} ({why})" for name, why in run.again.items())
    return f"{where} if these ran again: {again}" if again else "can't go on: its plan is damaged"
