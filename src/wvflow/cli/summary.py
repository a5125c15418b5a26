"""What a run came to, for people: the table of stages, the errors, where the results are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from wvflow.cli.app import shown
from wvflow.cli.diagnostics import source_line
from wvflow.cli.format import (
    between,
    count,
    instances,
    instant,
    iterations,
    one_line,
    plural,
    printable,
    some_of,
    value_text,
)
from wvflow.cli.states import error_line, state_text, waits
from wvflow.plan.refs import FlowRef
from wvflow.source import Position, Source

if TYPE_CHECKING:
    from wvflow.cli.app import App
    from wvflow.ports.rows import RunRow
    from wvflow.service.project import Project
    from wvflow.service.summary import RunSummary, StageSummary

MOST_ERRORS = 3
MOST_STAGES = 100
MOST_TARGETS = 20
MOST_CHILDREN = 20
_CAUSES = {
    "fire": "its schedule",
    "catchup": "its schedule, to catch up",
    "trigger": "wvflow schedule trigger",
    "backfill": "a backfill",
    "dependency": "the end of a run that its flow depends on",
}
SHORT = 12
"""Characters of a hash that tell plans apart for people."""
_BY_INTEREST = ("failed", "running", "cancelled", "pending", "skipped", "success")
_PLACE = re.compile(r"(.*):(\d+):(\d+)")
_NAMED = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\w+|.")


def headline(summary: RunSummary) -> Text:
    """The run in one line: state, flow, id, time, and that no other was started where one has the key."""
    spent = between(summary.started_at, summary.finished_at)
    key = summary.by_key
    found = "" if key is None else f"  started by an earlier call for the key `{printable(key)}`; no other was started"
    text = state_text(summary.state)
    return text.append_text(
        Text.assemble(
            "  ",
            (summary.ref.shown, "bold"),
            (f"  run {summary.run_id}{f'  {spent}' if spent else ''}", "dim"),
            ("  late" if summary.late else "", "yellow"),
            (found, "yellow"),
        )
    )


def stages_in_brief(summary: RunSummary) -> Iterator[Table | Text]:
    """The table of stages. Of a great many those that matter most, and how many there are of each kind."""
    order = {state: place for place, state in enumerate(_BY_INTEREST)}
    stages = summary.stages
    if len(stages) > MOST_STAGES:
        stages = tuple(sorted(stages, key=lambda stage: order.get(stage.state, len(order)))[:MOST_STAGES])
    yield _stage_table(stages)
    if hidden := len(summary.stages) - len(stages):
        counts = Counter(stage.state for stage in summary.stages)
        told = ", ".join(
            f"{counts[state]:,} {state}" for state in sorted(counts, key=lambda state: order.get(state, 0))
        )
        yield Text(
            f"… and {hidden:,} more of {len(summary.stages):,} stages ({told}); all of them: --json", style="dim"
        )


def _stage_table(stages: Sequence[StageSummary]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("stage", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("attempts", "rows", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    undone = any(stage.compensation for stage in stages)
    if undone:
        table.add_column("compensation", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True, style="dim")
    for stage in stages:
        spent = between(stage.started_at, stage.finished_at)
        attempts = str(stage.attempts) if stage.attempts else ""
        rows = count(stage.rows) if stage.state == "success" else ""
        undoing = (state_text(stage.compensation) if stage.compensation else "",) if undone else ()
        remark = "  ".join(filter(None, ("late" if stage.late else "", _remark(stage))))
        table.add_row(stage.stage, state_text(stage.phase), attempts, rows, spent, *undoing, remark)
    return table


def _remark(stage: StageSummary) -> str:
    if stage.state == "skipped" and stage.reason:
        kept = f": {one_line(error_line(stage.error), 100)}" if stage.error else ""
        return stage.reason.replace("_", " ") + kept
    if stage.state == "success":
        reused = f"reused from run {stage.reused_from}" if stage.reused_from else ""
        target = f"→ {stage.target}" if stage.target else ""
        told = (target, _routed(stage), reused, _reused_keys(stage), _looped(stage), _instances(stage))
        return "  ".join(filter(None, (*told, *_warned(stage))))
    if stage.waits_for:
        due = datetime.fromisoformat(stage.waits_until).timestamp() * 1_000 if stage.waits_until else None
        return waits(stage.waits_for, due)
    failed = "in " * bool(stage.error) + iterations(stage.iteration, stage.state) if stage.iteration else ""
    return "  ".join(filter(None, (one_line(error_line(stage.error), 100) or _instances(stage), failed)))


def _instances(stage: StageSummary) -> str:
    return "" if stage.instances is None else f"instances {instances(stage.instances)}{_numbers(stage)}"


def _looped(stage: StageSummary) -> str:
    return iterations(stage.iteration, stage.state)


def _numbers(stage: StageSummary) -> str:
    """Which of a mapped stage's instances failed: the first."""
    counts = stage.instances
    if counts is None or not counts.failures:
        return ""
    more = ", …" if counts.failed > len(counts.failures) else ""
    return f": {', '.join(f'{one.instance:,}' for one in counts.failures)}{more}"


def _warned(stage: StageSummary) -> list[str]:
    """The tests that its rows failed."""
    return [f"⚠ {one_line(printable(warning), 100)}" for warning in stage.warnings or ()]


def _reused_keys(stage: StageSummary) -> str:
    """Which earlier runs have done what is done once."""
    runs = stage.reused_keys or {}
    told = [f"{plural(keys, 'key')} of run {run}" for run, keys in list(runs.items())[:1]]
    more = sum(list(runs.values())[1:])
    return f"reused {told[0]}{f' and {more:,} of others' if more else ''}" if told else ""


def _routed(stage: StageSummary) -> str:
    """Where its rows went."""
    return ", ".join(f"{count(rows)} → {target or 'nowhere'}" for target, rows in (stage.routed or {}).items())


def print_summary(app: App, summary: RunSummary, project: Project) -> None:
    """Table on stdout; errors and what can be typed next on stderr."""
    app.show(headline(summary))
    app.show(*stages_in_brief(summary))
    for text in _errors(summary, project.root):
        app.show(text, stderr=True)
    if not app.quiet:
        _print_steps(app, summary, project)


def _print_steps(app: App, summary: RunSummary, project: Project) -> None:
    steps = list(_next_steps(app, summary, project))
    width = max(len(what) for what, _ in steps)
    app.show("", stderr=True)
    for what, how in steps:
        app.show(Text.assemble((f"{what:<{width}}  ", "dim"), how), stderr=True)


def print_run(app: App, summary: RunSummary, row: RunRow, project: Project) -> None:
    """A recorded run in full, on stdout."""
    app.show(headline(summary))
    facts = (*_facts(row, summary), *_uses(summary), *_variables(summary), *_retries(summary), *_children(summary))
    for name, value in (*facts, *_compensations(summary), *_hooks(summary)):
        app.show(Text.assemble((f"{name:<9} ", "dim"), value))
    app.show("")
    app.show(*stages_in_brief(summary))
    for text in _errors(summary, project.root):
        app.show(text)


def _retries(summary: RunSummary) -> Iterator[tuple[str, str]]:
    if summary.retries:
        yield "retries", ", ".join(f"run {one}" for one in summary.retries)


def _uses(summary: RunSummary) -> Iterator[tuple[str, str]]:
    for name, several in (("after", summary.upstream), ("before", summary.dependants)):
        if several:
            more = f" and {len(several) - MOST_CHILDREN:,} more" if len(several) > MOST_CHILDREN else ""
            yield name, ", ".join(f"run {one.run_id} of {one.flow}" for one in several[:MOST_CHILDREN]) + more


def _variables(summary: RunSummary) -> Iterator[tuple[str, str]]:
    if summary.variables:
        yield "state", _values(summary.variables)


def _values(values: Mapping[str, object]) -> str:
    return printable(", ".join(f"{name} = {value_text(value)}" for name, value in values.items()))


def _children(summary: RunSummary) -> Iterator[tuple[str, str]]:
    for one in summary.children[:MOST_CHILDREN]:
        yield "child", f"run {one.run_id} of {FlowRef(one.flow, one.version).shown}: {one.state}"
    if (more := len(summary.children) - MOST_CHILDREN) > 0:
        yield "child", f"and {plural(more, 'more run')}; all of them: --json"


def _compensations(summary: RunSummary) -> Iterator[tuple[str, str]]:
    for one in summary.compensations:
        what = f": {error_line(one.error)}" if one.state == "failed" else ""
        attempts = f" in {one.attempts} attempts" if one.attempts > 1 else ""
        state = "was under way when the run was terminated" if one.state == "cancelled" else one.state
        yield "undone by", f"{one.stage}: {state}{attempts}{what}"
    if left := [one.stage for one in summary.stages if one.compensation == "not_undone"]:
        yield "not undone", f"{some_of(left)}: the run was terminated"


def _hooks(summary: RunSummary) -> Iterator[tuple[str, str]]:
    for one in summary.hooks:
        what = f": {error_line(one.error)}" if one.state == "failed" else ""
        yield "then", f"{one.stage}: {one.state}{what}"


def _facts(row: RunRow, summary: RunSummary) -> Iterator[tuple[str, str]]:
    yield "version", f"{row.flow.version}, plan {row.bundle[:SHORT]}"
    if row.parent:
        yield "parent", f"run {row.parent}"
    if row.cause in _CAUSES:
        yield "begun by", _CAUSES[row.cause]
    if row.retry_of:
        yield "retry of", f"run {row.retry_of}"
    if summary.params:
        yield "params", _values(summary.params)
    yield "run time", instant(row.run_time)
    if row.started_at is not None:
        yield "started", instant(row.started_at)
    if row.finished_at is not None:
        yield "finished", instant(row.finished_at)
    if row.epoch:
        yield "reopened", plural(row.epoch, "time")
    if row.problem:
        yield "problem", row.problem


def _errors(summary: RunSummary, root: Path) -> Iterator[Text]:
    failed = [stage for stage in summary.stages if stage.state == "failed" and stage.error]
    for stage in failed[:MOST_ERRORS]:
        yield error_text(stage, root, handled=summary.succeeded)
    for one in [one for one in summary.compensations if one.state == "failed"][:MOST_ERRORS]:
        yield error_text(one, root, what="")
    if len(failed) > MOST_ERRORS:
        yield Text(f"\n… and {len(failed) - MOST_ERRORS:,} more stages failed", style="dim")
    if not failed and summary.error:
        yield Text.assemble("\n", ("error", "bold red"), f": {printable(summary.error)}")


def error_text(stage: StageSummary, root: Path, *, handled: bool = False, what: str = "stage ") -> Text:
    """A stage's error: what it says, the program's line at fault, the user's own lines of the traceback. ``handled``:
    the run got over it."""
    error = stage.error or {}
    attempts = f" after {stage.attempts} attempts" if stage.attempts > 1 else ""
    text = Text.assemble(
        "\n",
        ("handled", "bold yellow") if handled else ("error", "bold red"),
        (f": {what}{stage.stage} failed{attempts}", "bold"),
        f"\n  {printable(error_line(error)).replace(chr(10), chr(10) + '  ')}",
    )
    if (counts := stage.instances) is not None and counts.failed > 1:
        text.append(f"\n  instances that failed{_numbers(stage)}")
    if place := error.get("place"):
        text.append_text(_place(str(place), root, str(error.get("message", ""))))
    if detail := error.get("detail"):
        text.append("\n" + "\n".join(f"  {line}" for line in printable(str(detail)).splitlines()), style="dim")
    return text


def _place(place: str, root: Path, message: str) -> Text:
    match = _PLACE.fullmatch(place)
    if match is None:
        return Text(f"\n  at {place}")
    path, at = root / match[1], Position(int(match[2]), int(match[3]))
    text = Text.assemble(("\n  --> ", "blue"), f"{shown(path)}:{at.line}:{at.column}")
    return text.append_text(_program_line(path, at, message))


def _program_line(path: Path, at: Position, message: str) -> Text:
    """The line as the file has it now, if it still has what the message is about."""
    try:
        source = Source(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return Text()
    if at.line > len(source.line_starts):
        return Text()
    word = _WORD.match(source.line(at.line)[at.column - 1 :])
    about = _NAMED.search(message)
    if word is None or (about and word[0].strip("'\"`").lower() != about[1].lower()):
        return Text("\n  (the file has changed since; the run keeps the flow that it began with)", style="dim")
    return source_line(source, at, len(word[0]), len(str(at.line)) + 2)


def _next_steps(app: App, summary: RunSummary, project: Project) -> Iterator[tuple[str, str]]:
    """Where the rows are, and what can be typed next."""
    saved = [(stage.stage, stage.target) for stage in summary.stages if stage.target and stage.state == "success"]
    for stage, target in saved[:MOST_TARGETS]:
        yield stage, _target(target, project)
    if len(saved) > MOST_TARGETS:
        yield "…", f"and {len(saved) - MOST_TARGETS:,} more"
    if summary.succeeded and summary.output is not None:
        yield "output", app.typed(project, "runs", "output", summary.run_id)
    yield "details", app.typed(project, "runs", "show", summary.run_id)
    if summary.state in ("failed", "cancelled", "timed_out") and not (summary.parent or summary.compensations):
        yield "carry on", app.typed(project, "runs", "resume", summary.run_id)
    if _points_into_files(summary):
        again = app.typed(project, "runs", "retry", summary.run_id)
        yield "start anew", f"{again}  # once the flow is mended: a run keeps the one that it began with"


def _points_into_files(summary: RunSummary) -> bool:
    """Whether an error points into a program: once it is mended, another run is wanted."""
    failed = (stage.error for stage in summary.stages if stage.state == "failed" and stage.error)
    return any(_PLACE.fullmatch(str(error.get("place", ""))) for error in failed)


def _target(target: str, project: Project) -> str:
    """Where the rows are: a file's path, or a table and the warehouse that it is in, if it can be in no other."""
    if "/" in target or (project.root / target).exists():
        return shown(project.root / target)
    return f"table {target}" if project.connectors else f"table {target} in {shown(project.database)}"
