"""What checking makes of a program: relations and steps with all names resolved, their places beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Expr, Rel
from wvflow.lang.rowtypes import Column as RowColumn
from wvflow.plan.nodes import Argument, FlowParam, FlowRef, Save
from wvflow.source import Span

Settings: TypeAlias = Mapping[str, object]
"""Properties by canonical name, values as ``lang.properties`` reads them."""


class Use(NamedTuple):
    """A column's, table's or file's name as it stands in the text."""

    name: str
    span: Span


class RowsStep(NamedTuple):
    """Relational operators without an effect between them. ``Piped`` stands for what the step before put out."""

    relation: Rel


class SaveStep(NamedTuple):
    save: Save


class CallStep(NamedTuple):
    """An activity. ``takes_rows`` is false for ``call f(…)`` as an input, which has none; ``apart``: the rows so far
    are not given to it."""

    activity: str
    arguments: tuple[Argument, ...]
    takes_rows: bool = True
    apart: bool = False


Step: TypeAlias = RowsStep | SaveStep | CallStep


class CheckedStage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage. ``upstreams``: the stages that it reads or waits for, in order of first mention. ``when``: needs no
    rows. ``input``: the rows that its body begins with, None where it begins with none. ``columns``: those of its
    output as declared, to be seen to at run time.
    """

    name: str
    span: Span
    steps: tuple[Step, ...]
    settings: Settings
    upstreams: Mapping[str, Span]
    uses: tuple[Use, ...]
    when: Expr | None = None
    input: Rel | None = None
    columns: tuple[RowColumn, ...] = ()


class CheckedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One flow, its stages in order of declaration. ``output`` is None only beside an error."""

    ref: FlowRef
    span: Span
    params: tuple[FlowParam, ...]
    stages: tuple[CheckedStage, ...]
    settings: Settings
    defaults: Settings
    output: str | None


class CheckedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that is a query, maybe saved."""

    span: Span
    relation: Rel
    save: Save | None
    uses: tuple[Use, ...]


class CheckedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with its parameters as values. ``findings``: what is wrong with a model that nothing uses."""

    name: str
    span: Span
    params: tuple[FlowParam, ...]
    relation: Rel
    uses: tuple[Use, ...]
    findings: tuple[Diagnostic, ...] = ()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A whole program. ``activities``: the settings of those that it declares."""

    flows: tuple[CheckedFlow, ...]
    queries: tuple[CheckedQuery, ...]
    models: Mapping[str, CheckedModel]
    activities: Mapping[str, Settings]
