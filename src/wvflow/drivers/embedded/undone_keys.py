"""What undoes a stage that is done key by key: the same once for each key that the run did anything for.

Which keys these are the ledger tells, in which they were voided with the event that began all this (``voided``): those
that were done, those of which some steps were, and those of which nobody knows. Each is undone with the rows that came
of it, else with those that went in. It is work under a key as any other, so that nothing of it is done twice because
something else failed, or the process died; its key is made of the one that is undone, and of the claim under which that
was done. So the world sees another key than that of the first call, and for what is done anew later yet another.
"""

from __future__ import annotations

from wvflow.drivers.embedded.batches import Batch, Group, World
from wvflow.drivers.embedded.errand import Errand
from wvflow.kernel.events import NOTHING
from wvflow.lang.relations import UNDONE
from wvflow.plan.tasks import UndoKeysTask
from wvflow.ports.ledger import KeyEntry
from wvflow.ports.stop import Stop

_SO_MUCH_OF_A_CLAIM = 12


def undo_keys(task: UndoKeysTask, errand: Errand, stop: Stop, world: World) -> bool:
    """Undo what was done for each key, the newest first; whether there was anything to undo. Raises TaskError."""
    entries = world.store.voided(errand.name.run_id, errand.undoes, errand.name.instance)
    Batch(world, task, errand, stop).work_off([_group(one) for one in entries])
    return bool(entries)


def _group(entry: KeyEntry) -> Group:
    rows = None if entry.output is None or entry.output.ref == NOTHING else entry.output
    key = f"{entry.key}/undo/{entry.claim[:_SO_MUCH_OF_A_CLAIM]}"
    return Group(key, "", rows, entry.inline, named=UNDONE, shown=entry.key)
