"""Values of other stages: ``s.col``, in the one row of a stage, and what is known of one that failed, ``x.error`` and
``x.attempts`` (flow language, sections 1 and 2).

The first stand in call arguments and ``when`` only, the others in all expressions of a stage that x's failure can make
run: by its ``if``, its rule, or x's ``on_failure``. Where x didn't fail, the error is null.
"""

from __future__ import annotations

from wvflow.lang.algebra import Cell, Expr, StageRows, Value
from wvflow.lang.keys import FAILURE, of_failure
from wvflow.semantics import mistakes, names
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.scopes import Scope, column
from wvflow.syntax.nodes import Name


def of_stage(stage: Name, name: Name, scope: Scope) -> Expr | None:
    """The meaning of ``stage.name``, None where that is no value of another stage."""
    if not _is_other_stage(stage.text, scope) or _is_column(stage, name, scope):
        return None
    if name.text in FAILURE and _may_have_failed(stage, scope):
        return Value(of_failure(stage.text, name.text), FAILURE[name.text])
    if scope.for_argument or scope.for_when:
        return _cell(stage, name, scope)
    if scope.qualified(stage.text) is not None or (scope.has_rows and not scope.is_known):
        return None
    misplaced = flow_mistakes.no_failure if name.text in FAILURE else flow_mistakes.cell_misplaced
    scope.session.report(misplaced(stage.text, name.text, stage.span.to(name.span)))
    return names.NOTHING


def _is_other_stage(name: str, scope: Scope) -> bool:
    hidden = name in scope.values or name in scope.locals
    return name in scope.stages and name != scope.stage and not hidden


def _may_have_failed(stage: Name, scope: Scope) -> bool:
    """Whether its failure can be why this stage runs. Under a rule that is so of each upstream, and this names one."""
    if stage.text in scope.failed:
        return True
    if not scope.any_failed or scope.qualified(stage.text) is not None:
        return False
    scope.session.reads(stage.text, stage.span)
    return True


def _is_column(stage: Name, name: Name, scope: Scope) -> bool:
    """Whether rows at hand certainly have it: they hide the stage."""
    if scope.for_argument or scope.for_when:
        return False
    if (rows := scope.qualified(stage.text)) is not None:
        return rows.columns is not None and column(rows.columns, name.text) is not None
    return scope.column(stage.text) is not None


def _cell(stage: Name, name: Name, scope: Scope) -> Expr:
    scope.session.reads(stage.text, stage.span)
    scope.session.use(name.text, name.span)
    rows, columns = StageRows(stage.text, stage.text), scope.stages[stage.text].columns
    if columns is None:
        return Cell(rows, name.text)
    if (found := column(columns, name.text)) is not None:
        return Cell(rows, name.text, found.type)
    unknown = mistakes.unknown_column(name.text, name.span, columns)
    no_failure = flow_mistakes.no_failure(stage.text, name.text, stage.span.to(name.span))
    scope.session.report(no_failure if name.text in FAILURE else unknown)
    return names.NOTHING
