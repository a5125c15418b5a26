"""``def`` functions and methods of types: calls become their bodies (query reference, sections 3.2, 3.3 and 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from wvflow.lang.algebra import Expr, Literal
from wvflow.lang.types import NAMES, NUMERIC, UNKNOWN, Type
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.infer import type_of
from wvflow.semantics.scopes import Scope
from wvflow.semantics.session import Session
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import CallArg, FunctionDef, Name, Native, Param, PartialQuery, TypeDef

MAX_INLINED = 100
NATIVE = "ulid_string"
"""The function that the compiler implements."""
_PARENTS = {"td_trino": "trino", "td_hive": "hive"}
Bound = Mapping[str, Expr | tuple[Expr, ...]]


def chosen(name: str, session: Session) -> FunctionDef | None:
    """The definition of a name that counts for the engine at hand, None without one."""
    return _most_specific(session.definitions.functions.get(name, ()), session)


def _most_specific(candidates: Iterable[FunctionDef], session: Session) -> FunctionDef | None:
    """The one of the engine's own dialect, then of the dialect that this inherits from, then one without a context."""
    by_rank: dict[int, FunctionDef] = {}
    for one in candidates:
        if (rank := _rank(one, session.catalog.engine)) is not None:
            by_rank.setdefault(rank, one)
    return by_rank[min(by_rank)] if by_rank else None


def _rank(definition: FunctionDef, engine: str) -> int | None:
    if not definition.contexts:
        return 2
    names = {context[0].text.lower() for context in definition.contexts if len(context) == 1}
    if engine in names:
        return 0
    return 1 if _PARENTS.get(engine) in names else None


# --- calls ----------------------------------------------------------------------------------------------------------


def call(definition: FunctionDef, args: tuple[CallArg, ...], use: Name, scope: Scope, this: Expr | None = None) -> Expr:
    """The body of a function with these arguments, which are read in the caller's scope. ``this``: of a method."""
    session, name = scope.session, definition.name.text
    if name in session.inlining:
        path = [*session.inlining[session.inlining.index(name) :], name]
        session.report(mistakes.recursive_function(path, definition.name.span))
        return Literal(None, UNKNOWN)
    if len(session.inlining) >= MAX_INLINED:
        session.report(mistakes.inlined_too_deep(MAX_INLINED, use.span))
        return Literal(None, UNKNOWN)
    bound = _bind(definition, args, use, scope)
    result = resolve_type(definition.result, session)
    session.inlining.append(name)
    try:
        value = _inline(definition, bound, use, scope, this)
    except RecursionError:
        session.report(mistakes.inlined_too_deep(MAX_INLINED, use.span))
        return Literal(None, UNKNOWN)
    finally:
        session.inlining.pop()
    return _typed(value, result)


def _inline(definition: FunctionDef, bound: Bound, use: Name, scope: Scope, this: Expr | None) -> Expr:
    body = definition.body
    if body is None or isinstance(body, Native | PartialQuery):
        scope.session.report(mistakes.partial_query_as_value(definition.name.text, use.span))
        return Literal(None, UNKNOWN)
    with scope.session.within(definition.span):
        return expressions.elaborate(body, replace(scope, locals=bound, this=this, for_argument=scope.for_argument))


def _typed(value: Expr, declared: Type) -> Expr:
    """The value with its declared type where nothing better is known."""
    if not declared.is_known or type_of(value).is_known or "type" not in value.__struct_fields__:
        return value
    return msgspec.structs.replace(value, type=declared)  # type: ignore[type-var,unused-ignore]


def _bind(definition: FunctionDef, args: Sequence[CallArg], use: Name, scope: Scope) -> Bound:
    """The value of each parameter. What doesn't fit is reported and left out."""
    params = definition.params or ()
    rest = params[-1] if params and params[-1].variadic else None
    fixed = params[:-1] if rest else params
    positional = [one for one in args if one.name is None]
    bound: dict[str, Expr | tuple[Expr, ...]] = {}
    for param, arg in zip(fixed, positional, strict=False):
        bound[param.name.text] = _argument(param, arg, scope)
    if rest is not None:
        bound[rest.name.text] = tuple([expressions.elaborate(one.value, scope) for one in positional[len(fixed) :]])
    elif len(positional) > len(fixed):
        scope.session.report(mistakes.extra_function_argument(definition.name.text, len(fixed), len(args), use.span))
    _bind_named(definition, fixed, args, bound, scope)
    for param in fixed:
        if param.name.text not in bound:
            bound[param.name.text] = _default(definition, param, use, scope)
    return bound


def _bind_named(
    definition: FunctionDef,
    fixed: Sequence[Param],
    args: Sequence[CallArg],
    bound: dict[str, Expr | tuple[Expr, ...]],
    scope: Scope,
) -> None:
    by_name = {param.name.text: param for param in fixed}
    for arg in args:
        if arg.name is None:
            continue
        param = by_name.get(arg.name.text)
        if param is None or arg.name.text in bound:
            found = mistakes.unknown_function_argument(definition.name.text, arg.name.text, arg.name.span, by_name)
            scope.session.report(found)
        else:
            bound[arg.name.text] = _argument(param, arg, scope)


def _argument(param: Param, arg: CallArg, scope: Scope) -> Expr:
    return _typed(expressions.elaborate(arg.value, scope), resolve_type(param.type, scope.session))


def _default(definition: FunctionDef, param: Param, use: Name, scope: Scope) -> Expr:
    if param.default is None:
        scope.session.report(mistakes.missing_function_argument(definition.name.text, param.name.text, use.span))
        return Literal(None, UNKNOWN)
    with scope.session.within(definition.span):
        return expressions.elaborate(param.default, Scope(scope.session))


# --- methods --------------------------------------------------------------------------------------------------------


def method(name: str, receiver: Type, session: Session) -> FunctionDef | None:
    """The method of a value's type that the program defines, then of the type's parents."""
    for type_name in _with_parents(receiver.name, session):
        if (found := _own_method(name, type_name, session)) is not None:
            return found
    return None


def method_of_any(name: str, receiver: Type, session: Session) -> FunctionDef | None:
    """A method for values of all types; for a value whose type is not known, the only one of that name."""
    if not session.definitions.types:
        return None
    if (found := _own_method(name, "any", session)) is not None:
        return found
    names = {one for one in session.definitions.types if _may_be(receiver, NAMES.get(one, one))}
    several = [found for one in sorted(names) if (found := _own_method(name, one, session)) is not None]
    return several[0] if len(several) == 1 else None


def _may_be(receiver: Type, name: str) -> bool:
    if not receiver.is_known:
        return True
    return receiver.name in NUMERIC and name in NUMERIC


def _own_method(name: str, type_name: str, session: Session) -> FunctionDef | None:
    defined = [one for one in _types_named(type_name, session) if not _bound_elsewhere(one, session)]
    return _most_specific([one for node in defined for one in node.methods if one.name.text == name], session)


def _bound_elsewhere(node: TypeDef, session: Session) -> bool:
    """Whether a type is for other dialects only."""
    dialects = {context[0].text.lower() for context in node.contexts if len(context) == 1}
    engine = session.catalog.engine
    return bool(dialects) and engine not in dialects and _PARENTS.get(engine) not in dialects


def _types_named(name: str, session: Session) -> Iterator[TypeDef]:
    """All definitions of a type, under any spelling of its name."""
    for written, several in session.definitions.types.items():
        if written == name or NAMES.get(written) == name:
            yield from several


def _with_parents(name: str, session: Session) -> Iterator[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        yield current
        waiting += [parent.text for node in _types_named(current, session) for parent in node.parents]
