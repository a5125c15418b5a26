"""How a plan names flows and stages, and how it counts time."""

from __future__ import annotations

from typing import NewType

import msgspec

StageId = NewType("StageId", int)
"""The place of a stage in the topological order of its flow."""

Millis = NewType("Millis", int)


class FlowRef(msgspec.Struct, frozen=True, order=True):
    """A flow in one of its versions; without a number it is the first."""

    flow: str
    version: int = 1

    @property
    def key(self) -> str:
        return f"{self.flow}@{self.version}"

    @property
    def shown(self) -> str:
        """As people write it; the first version needs no number."""
        return f"{self.flow} @version({self.version})" if self.version != 1 else self.flow
