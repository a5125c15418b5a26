"""How states look: one mark and one style for each, everywhere."""

from __future__ import annotations

from rich.text import Text

from wvflow.cli.format import instant, one_line, printable

_LOOKS = {
    "success": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "timed_out": ("✗", "bold red"),
    "terminated": ("✗", "red"),
    "quarantined": ("✗", "bold red"),
    "skipped": ("↷", "yellow"),
    "cancelled": ("⊘", "yellow"),
    "cancelling": ("⊘", "yellow"),
    "compensating": ("↶", "magenta"),
    "compensation_failed": ("✗", "bold red"),
    "not_undone": ("⊘", "yellow"),
    "finishing": ("▸", "cyan"),
    "paused": ("‖", "yellow"),
    "held": ("‖", "yellow"),
    "retrying": ("↻", "magenta"),
    "queued": ("·", "cyan"),
    "waiting": ("◷", "cyan"),
    "attempting": ("▸", "cyan"),
    "running": ("▸", "cyan"),
    "pending": ("·", "dim"),
}


def state_text(state: str) -> Text:
    mark, style = _LOOKS.get(state, ("?", "dim"))
    word = "running" if state == "attempting" else state.replace("_", " ")
    return Text.assemble((f"{mark} {word}", style))


def waits(what: str, due: float | None) -> str:
    """What a stage waits for, and until when (milliseconds since the epoch)."""
    return one_line(what, 100) + (f", until {instant(int(due))}" if due is not None else "")


def error_line(error: dict[str, object] | None) -> str:
    """A recorded error in one line: its kind and what it says."""
    if not error:
        return ""
    return printable(f"{error.get('kind', 'Error')}: {error.get('message', '')}".strip())
