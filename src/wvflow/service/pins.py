"""What runs are pinned to: of a program what a flow reaches, kept in the store under its hash and at hand here.

It is made once for each flow as long as the same program is used, and of several flows kept in one write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from wvflow.drivers.embedded.live import Identity
from wvflow.plan.codec import decode, digest, encode
from wvflow.plan.nodes import Bundle
from wvflow.plan.reach import reached
from wvflow.plan.refs import FlowRef
from wvflow.ports.store import Store

OTHERS = 256
"""Bundles at hand that are not of the program in use."""


class _Kept:
    """Those of one program, by flow and by hash."""

    def __init__(self, program: Bundle) -> None:
        self.program = program
        self.of_flows: dict[FlowRef, Identity] = {}
        self.bundles: dict[str, Bundle] = {}

    def add(self, one: Identity) -> None:
        self.bundles[one.digest] = one.bundle
        self.of_flows[one.flow] = one


class Pins:
    """Those of one project; for any number of threads. ``store`` gives where they are kept."""

    def __init__(self, store: Callable[[], Store], project: str) -> None:
        self._store = store
        self._project = project
        self._kept = _Kept(Bundle({}))
        self._other = lru_cache(maxsize=OTHERS)(lambda name: decode(self._store().bundle(name)))

    def of(self, program: Bundle, flow: FlowRef, run_id: str = "") -> Identity:
        """What a run of a flow is pinned to. Raises Unavailable."""
        return msgspec.structs.replace(self.keep(program, [flow]).of_flows[flow], run_id=run_id)

    def keep(self, program: Bundle, flows: Sequence[FlowRef]) -> _Kept:
        """Have what runs of these flows will be pinned to in the store and at hand. Raises Unavailable."""
        kept = self._kept if self._kept.program is program else _Kept(program)
        new = [self._identity(program, flow) for flow in flows if flow not in kept.of_flows]
        if new:
            self._store().put_bundles({one.digest: encode(one.bundle) for one in new})
        for one in new:
            kept.add(one)
        self._kept = kept
        return kept

    def _identity(self, program: Bundle, flow: FlowRef) -> Identity:
        own = reached(program, flow)
        return Identity(run_id="", flow=flow, digest=digest(own), bundle=own, project=self._project)

    def bundle(self, name: str) -> Bundle:
        """The bundle of that hash. Raises: PlanMissing, msgspec.MsgspecError where it is damaged, Unavailable."""
        return self._kept.bundles.get(name) or self._other(name)
