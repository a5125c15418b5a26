from __future__ import annotations

import io
import os

import pytest

from wvflow.activities import child
from wvflow.activities.wire import NUMBER


@pytest.mark.parametrize(("told", "stopped"), [([], False), ([6], False), ([7], True), ([6, 7], True)])
@pytest.mark.parametrize("early", [False, True], ids=["while it runs", "before it begins"])
def test_a_call_is_stopped_by_its_own_number_alone_whenever_that_comes(
    monkeypatch: pytest.MonkeyPatch, told: list[int], stopped: bool, early: bool
) -> None:
    ends: list[None] = []
    monkeypatch.setattr(child, "end", lambda: ends.append(None))
    theirs, ours = os.pipe()
    os.write(ours, b"".join(map(NUMBER.pack, told)))
    os.close(ours)
    with io.FileIO(theirs, "r") as source:
        stops = child._Stops(source)
        if early:
            stops.listen()
            stop = stops.of(7)
        else:
            stop = stops.of(7)
            stops.listen()
    assert (stop.requested, len(ends)) == (stopped, 1)
