"""The registry: the activities and sinks that this process can run. Adapter of ``ports.activities.Activities``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wvflow.activities.content import DEFAULT_MODULES
from wvflow.activities.decorator import ActivitySpec, spec_of
from wvflow.activities.discovery import Problem, Registered, discover, register
from wvflow.activities.settings import Settings
from wvflow.diagnostics import nearest
from wvflow.errors import TaskError
from wvflow.lang.keys import SINK
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa


class Registry:
    """Activities and sinks by their keys, the built-in ones too. ``problems``: what could not be used, and why. Used by
    many threads at once."""

    def __init__(
        self,
        activities: Mapping[str, Registered],
        problems: Sequence[Problem] = (),
        modules: Sequence[str] = (),
        settings: Settings | None = None,
    ) -> None:
        self.activities = dict(activities)
        self.problems = tuple(problems)
        self.modules = tuple(modules)
        self._settings = settings or Settings()

    @classmethod
    def discover(
        cls, root: Path, modules: Sequence[str] = DEFAULT_MODULES, settings: Settings | None = None
    ) -> Registry:
        """The activities of the modules below ``root`` and of installed packages. Imports them; raises nothing for
        what is wrong with them."""
        found = discover(root, modules)
        return cls(found.activities, found.problems, modules, settings)

    @classmethod
    def of(cls, *functions: Callable[..., Any]) -> Registry:
        """The activities that these functions are, decorated or not."""
        specs = [(one, spec_of(one) or ActivitySpec(one.__name__)) for one in functions]
        return cls({spec.key: register(one, spec, one.__module__, Path()) for one, spec in specs})

    def run(self, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
        """Part of the port."""
        from wvflow.activities.invoke import invoke

        activity = self._find(call.key)
        call.begun()
        rows = invoke(activity, call, stop)
        if not call.key.startswith(SINK):
            return rows
        for _ in rows or ():
            pass  # a sink's result is of no account, but making it may be its work
        return None

    def is_users(self, key: str) -> bool:
        """Whether it is a function of the project's or of a package."""
        return key in self.activities

    def fingerprint(self, key: str) -> str:
        """Part of the port."""
        found = self.activities.get(key)
        return found.fingerprint if found else ""

    def close(self) -> None:
        """Part of the port: threads are let go of by whoever started them."""

    def _find(self, key: str) -> Registered:
        if (found := self.activities.get(key)) is not None:
            return found
        if "." in key:
            return self._built_in(key)
        raise TaskError("ActivityNotFound", self._not_found(key), retryable=False, help=self._way_out(key))

    def _built_in(self, key: str) -> Registered:
        from wvflow.activities.builtin import functions, nowhere

        known = functions(self._settings)
        if key in known:
            return known[key]
        if key.startswith(SINK):
            return nowhere(key.removeprefix(SINK), self._settings)
        raise TaskError("ActivityNotFound", f"this version has no `{key.rpartition('.')[2]}`", retryable=False)

    def _not_found(self, name: str) -> str:
        searched = ", ".join(f"`{module}`" for module in self.modules) or "no modules"
        return "; ".join([f"no activity is named `{name}`; searched {searched}", *(p.message for p in self.problems)])

    def _way_out(self, name: str) -> str:
        near = nearest(name, self.activities)
        return f"did you mean `{near}`?" if near else f"write a function `{name}` with `@activity` in one of them"
