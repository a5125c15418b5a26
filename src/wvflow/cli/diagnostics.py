"""Diagnostics on a terminal and as JSON: two views of one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from wvflow.cli.format import plural, printable
from wvflow.diagnostics import Diagnostic, Note
from wvflow.source import Position, Source, Span

if TYPE_CHECKING:
    from wvflow.cli.app import App

SHOWN = 50
TAB = "    "
WIDEST = 120
_STYLE = {"error": "bold red", "warning": "bold yellow"}

Naming = Callable[[str], str]


def report(app: App, found: Sequence[Diagnostic], naming: Naming = str) -> None:
    """Print diagnostics for people on stderr, errors first, and how many there are."""
    ordered = sorted(found, key=lambda one: (not one.is_error, one.span.source.name, one.span.start))
    for one in ordered[:SHOWN]:
        app.show(render(one, naming), "", stderr=True)
    if len(ordered) > SHOWN:
        app.show(Text(f"… and {len(ordered) - SHOWN:,} more", style="dim"), stderr=True)
    app.say(tally(found))


def tally(found: Iterable[Diagnostic]) -> str:
    """
    >>> tally([])
    'no mistakes found'
    """
    counts = Counter(one.severity for one in found)
    parts = [plural(counts[kind], kind) for kind in ("error", "warning") if counts[kind]]
    return ", ".join(parts) or "no mistakes found"


def as_json(one: Diagnostic, naming: Naming = str) -> dict[str, Any]:
    """A diagnostic with its place, lines and columns counted from 1."""
    return {
        "code": one.code.number,
        "class": one.code.kind,
        "severity": one.severity,
        "message": one.message,
        **_place(one.span, naming),
        "help": one.help,
        "notes": [{"message": note.message} | (_place(note.span, naming) if note.span else {}) for note in one.notes],
    }


def _place(span: Span, naming: Naming) -> dict[str, Any]:
    start, end = span.position, span.source.position(span.end)
    return {
        "file": naming(span.source.name),
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    }


def render(one: Diagnostic, naming: Naming = str) -> Text:
    """A diagnostic with the line that it is about."""
    style = _STYLE[one.severity]
    gutter = len(str(max(_last_line(span) for span in _spans(one))))
    text = Text.assemble((f"{one.severity}[{one.code.number}]", style), (f": {printable(one.message)}", "bold"))
    text.append_text(_snippet(one.span, gutter, style, naming))
    for note in one.notes:
        text.append_text(_note(note, gutter, naming))
    if one.help:
        text.append_text(_remark("help", one.help, gutter))
    return text


def _spans(one: Diagnostic) -> list[Span]:
    return [one.span, *(note.span for note in one.notes if note.span)]


def _last_line(span: Span) -> int:
    return span.position.line


def _note(note: Note, gutter: int, naming: Naming) -> Text:
    if note.span is None:
        return _remark("note", note.message, gutter)
    return _remark("note", note.message, gutter).append_text(_snippet(note.span, gutter, "bold cyan", naming))


def _remark(kind: str, message: str, gutter: int) -> Text:
    indented = printable(message).replace("\n", "\n" + " " * (gutter + 3 + len(kind) + 2))
    return Text.assemble("\n", " " * (gutter + 1), ("= ", "blue"), (kind, "bold"), f": {indented}")


def _snippet(span: Span, gutter: int, style: str, naming: Naming) -> Text:
    place = span.position
    if not span.source.text:
        return Text.assemble("\n", " " * gutter, ("--> ", "blue"), naming(span.source.name))
    where = f"{naming(span.source.name)}:{place.line}:{place.column}"
    return Text.assemble("\n", " " * gutter, ("--> ", "blue"), where).append_text(
        source_line(span.source, place, span.end - span.start, gutter, style)
    )


def source_line(source: Source, place: Position, length: int, gutter: int, style: str = "bold red") -> Text:
    """A line of the source with ``length`` characters from ``place`` on underlined. Wide characters and tabs are
    measured as the terminal shows them; of a very long line only the part around the place is shown."""
    line = source.line(place.line)
    at = place.column - 1
    line, at = _cropped(line, at)
    before, marked = line[:at], line[at : at + max(length, 1)]
    underline = "^" * max(cell_len(_laid_out(marked)), 1)
    return Text.assemble(
        ("\n" + " " * gutter + " |", "blue"),
        (f"\n{place.line:>{gutter}} | ", "blue"),
        _laid_out(line),
        ("\n" + " " * gutter + " | ", "blue"),
        " " * cell_len(_laid_out(before)),
        (underline, style),
    )


def _laid_out(text: str) -> str:
    return printable(text.replace("\t", TAB))


def _cropped(line: str, at: int) -> tuple[str, int]:
    if len(line) <= WIDEST:
        return line, at
    first = max(0, min(at - WIDEST // 3, len(line) - WIDEST))
    cut = line[first : first + WIDEST]
    head = "…" if first else ""
    return head + cut + ("…" if first + WIDEST < len(line) else ""), at - first + len(head)
