"""Which runs of other flows the runs of a flow come after, and what they read of those. Plain data; who looks for such
runs comes elsewhere.

Source: flow language, section 5, "depends on".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from wvflow.lang.types import Type

ENDS = ("success", "failed", "cancelled", "timed_out", "terminated")
"""The states that a run ends in. One that never began, ``skipped``, counts for nobody."""

_WORDS = {"success": ("success",), "failed": ("failed", "timed_out", "terminated"), "cancelled": ("cancelled",)}


class After(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of ``flow``, in whichever version, that has ended in one of ``states`` (in the order of ``ENDS``)."""

    flow: str
    states: tuple[str, ...] = ("success",)

    @property
    def shown(self) -> str:
        """As it is written in a header.

        >>> After("A", ("failed", "timed_out", "terminated")).shown, After("A", ENDS).shown
        ('A.failed', 'A.done')
        """
        if self.states == ENDS:
            return f"{self.flow}.done"
        return " or ".join(f"{self.flow}.{word}" for word, several in _WORDS.items() if set(several) & {*self.states})


Alternatives: TypeAlias = tuple[tuple[After, ...], ...]
"""Of one of them all are needed: the first for which there are such runs."""


class UpstreamStage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stage of another flow whose rows a flow reads. ``shape``: its columns, for the case that it put nothing out;
    None where nobody knows them."""

    flow: str
    stage: str
    shape: tuple[tuple[str, Type], ...] | None = None


def states_of(word: str) -> tuple[str, ...]:
    """The states that a word of a header means; a time-out is a failure.

    >>> states_of("failed")
    ('failed', 'timed_out', 'terminated')
    """
    return ENDS if word == "done" else _WORDS.get(word, ())


def flows_before(after: Alternatives) -> tuple[str, ...]:
    """The flows that are named, in order of first mention."""
    return tuple(dict.fromkeys(one.flow for several in after for one in several))


def after_text(after: Alternatives) -> str:
    """As it could be written in a header.

    >>> after_text(((After("A"), After("B")),)), after_text(((After("A"), After("B", ENDS)), (After("C"),)))
    ('depends on A, B', 'if (A.success and B.done) or C.success')
    """
    if len(after) == 1 and all(one.states == ("success",) for one in after[0]):
        return f"depends on {', '.join(one.flow for one in after[0])}"
    return f"if {' or '.join(_all_of(several, alone=len(after) == 1) for several in after)}"


def _all_of(several: Sequence[After], *, alone: bool) -> str:
    parts = [f"({one.shown})" if " or " in one.shown and len(several) > 1 else one.shown for one in several]
    text = " and ".join(parts)
    return text if alone or len(several) == 1 else f"({text})"
