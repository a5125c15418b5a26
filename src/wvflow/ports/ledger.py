"""The ledger of idempotency keys, a part of the store's port: what was done once and is not to be done again.

A key belongs to a flow and a stage. It is claimed before any work begins, so that of several who want the same done
one does it and the others wait for what comes of it; what was done is recorded with it. A claim counts for as long as
its run is driven by the process that made it. What is left of one that counts no more is taken over with the next
claim: the work is begun again where it was, under the same key.

What a run did under the keys of a stage is voided when it is to be undone (``RunBatch.voided``): from then on it counts
for nobody, and is remembered only for that run, to be undone key by key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from wvflow.kernel.events import EpochMs, Output
from wvflow.kernel.state import ENDED, RunPhase

_ENDED = frozenset(phase.value for phase in ENDED)


class RunKey(msgspec.Struct, frozen=True):
    """What there is to be but one run of a flow for, until its success ``expires``."""

    key: str
    input_hash: str
    expires: EpochMs


class KeyScope(msgspec.Struct, frozen=True):
    """Within what a key means one thing: a stage of a flow, in all its versions; in a loop, one iteration. The keys of
    whole runs are those of a stage ``""``."""

    flow: str
    stage: str
    iteration: int = 0


class Claimant(msgspec.Struct, frozen=True):
    """Who wants something done: an attempt of a run, or of one of a mapped stage's instances, and its driver's token.
    A further attempt of the same takes its claims over."""

    run_id: str
    token: int
    instance: int = 0
    attempt: int = 1


class Wish(msgspec.Struct, frozen=True):
    """``input_hash``: what the work is done with; ``code``: what the work consists of. ``claim`` names the claim, if it
    is a new one: no other was ever named so. ``rows`` and ``inline``: what the work is begun with, where that is to be
    kept in case that it must be undone without having come to an end."""

    key: str
    claim: str
    input_hash: str = ""
    code: str = ""
    rows: Output | None = None
    inline: bytes | None = None


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key. ``run_id``: who has done it, or is at it; ``claim`` stays the same until the work has
    succeeded, whoever goes on with it.

    ``steps``: how many steps of the work are done; ``output`` is what the last of them put out, before the first what
    was to be kept of the rows that went in, and ``inline`` its rows where the ledger keeps them. ``expires``: when a
    success no longer counts. ``unsure``: somebody may have begun a step, and nobody knows what came of that.
    """

    key: str
    state: Literal["running", "done"]
    run_id: str
    claim: str
    input_hash: str = ""
    code: str = ""
    steps: int = 0
    output: Output | None = None
    inline: bytes | None = None
    at: EpochMs = EpochMs(0)
    expires: EpochMs = EpochMs(0)
    unsure: bool = False

    @property
    def left_something(self) -> bool:
        """Whether anything was done for the key, or may have been."""
        return self.state == "done" or self.steps > 0 or self.unsure


def has_its_key(entry: KeyEntry, state: str, now: EpochMs) -> bool:
    """Whether a run in that state still has the key that it was begun under."""
    return state not in _ENDED or (state == RunPhase.SUCCESS.value and entry.expires > now)


def claimed(known: KeyEntry | None, wish: Wish, by: Claimant, now: EpochMs) -> KeyEntry:
    """The entry of a key that nobody else is at, from here on: as it is where the work was done, else the
    claimant's."""
    if known is not None and known.state == "done" and known.expires > now:
        return known
    same = known is not None and (known.input_hash, known.code) == (wish.input_hash, wish.code)
    if known is not None and known.state == "running" and same:
        begun = {} if known.steps else {"output": wish.rows, "inline": wish.inline}
        return msgspec.structs.replace(known, run_id=by.run_id, **begun)
    return KeyEntry(
        key=wish.key,
        state="running",
        run_id=by.run_id,
        claim=wish.claim,
        input_hash=wish.input_hash,
        code=wish.code,
        output=wish.rows,
        inline=wish.inline,
        at=now,
    )


class KeyWait(msgspec.Struct, frozen=True):
    """That an attempt of a stage, or of one of its instances, waits for a key as another run, the ``holder``, is at
    it."""

    stage: str
    iteration: int
    instance: int
    attempt: int
    key: str
    holder: str


def waiting(scope: KeyScope, by: Claimant, taken: KeyEntry) -> KeyWait:
    return KeyWait(scope.stage, scope.iteration, by.instance, by.attempt, taken.key, taken.run_id)


class Claimed(msgspec.Struct, frozen=True):
    """``entries``: one for each wish, in their order: ``done`` ones, and those that are the claimant's now. ``holder``:
    the run that is at one of them; then nothing was claimed. ``lost``: another process drives the claimant's run."""

    entries: tuple[KeyEntry, ...] = ()
    holder: str = ""
    lost: bool = False


class Ledger(Protocol):
    """Every write survives power loss on return. All may raise Unavailable."""

    def claim(self, scope: KeyScope, by: Claimant, wishes: Sequence[Wish], now: EpochMs) -> Claimed:
        """Claim all keys that are not done, or none.

        Of a key whose work was begun before and that nobody is at, the steps that are done count where ``input_hash``
        and ``code`` are the same; else it begins anew. A success that has expired is as none. What a run did under a
        key that is begun anew is set aside as if it were voided: that run may have to undo it. Of a claim that was
        never given up it is not known what came of it: whoever goes on with it is ``unsure``. Who has a key that
        it wants is remembered until the claimant claims those, for ``key_waits``.
        """
        ...

    def key_waits(self, run_id: str) -> list[KeyWait]:
        """What a run's stages found taken when they claimed last, by stage and instance: whether they still wait, their
        attempts tell."""
        ...

    def record(self, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
        """Write how far the work of keys has come. Those that are not the claimant's any more, as a further attempt
        or another process has taken them over, are left as they are; whether there was none."""
        ...

    def give_up(self, scope: KeyScope, by: Claimant, keys: Sequence[str], unsure: Sequence[str] = ()) -> None:
        """Nobody is at these keys any more, if they are still the claimant's and not done: others need not wait.
        ``unsure``: those of them of which nobody knows what came of the step that was begun."""
        ...

    def entries(self, scope: KeyScope, keys: Sequence[str]) -> list[KeyEntry]:
        """What is known of these keys, by key; nothing of those never claimed."""
        ...

    def run_of(self, flow: str, key: str, now: EpochMs) -> KeyEntry | None:
        """The run that was begun under a key (``NewRun.key``), as long as it is open, or its success counts."""
        ...

    def kept_runs(self, now: EpochMs) -> frozenset[str]:
        """The runs that others need: their success counts under a key of theirs, and a later call is given what came of
        them, a flow is to come after them yet (``Dependencies.attend``), or a run that is to begin does."""
        ...

    def voided(self, run_id: str, stage: str, instance: int) -> list[KeyEntry]:
        """What a run did under the keys of a stage, or of one of its instances, that was voided or set aside, the
        newest first. It is remembered, with its claims, until the run is deleted."""
        ...

    def expire(self, now: EpochMs) -> None:
        """Forget successes that no longer count, and what is left of the work of runs that are no more."""
        ...

    def claims(self) -> frozenset[str]:
        """The names of all claims of which something is known."""
        ...
