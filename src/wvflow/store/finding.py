"""What is said when a run can't be told from the text that names it. Shared by the adapters."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from wvflow.errors import RunNotFound

LAST: Final = "last"
SHOWN: Final = 5


def not_found(text: str, newest: Sequence[str]) -> RunNotFound:
    """No run has this id or begins so. ``newest``: ids of recent runs, newest first."""
    if not newest:
        return RunNotFound(
            "no run has been recorded yet",
            help="start one with `wvflow run FILE`; runs of a project elsewhere: `--project DIR`",
        )
    near = get_close_matches(text, newest, n=SHOWN, cutoff=0.6)
    hint = f"did you mean {_listed(near)}?" if near else f"the newest are {_listed(newest[:SHOWN])}"
    return RunNotFound(f"no run `{text}`", help=hint)


def ambiguous(text: str, found: Sequence[str]) -> RunNotFound:
    """Several runs begin so. ``found``: their ids, newest first, one more than are shown when there are more."""
    more = ", and more" if len(found) > SHOWN else ""
    return RunNotFound(
        f"more than one run begins with `{text}`: {_listed(found[:SHOWN])}{more}",
        help="write more of the id, or `last` for the newest run",
    )


def _listed(run_ids: Sequence[str]) -> str:
    return ", ".join(f"`{run_id}`" for run_id in run_ids)
