"""``def`` functions and methods of types: calls become their bodies (query reference, sections 3.2, 3.3 and 4.2).

A body means what the text of its definition says: its free names are columns of the rows where the call stands, never
what lies around the call (parameters, CTEs, variables of lambdas). Of a method they are the receiver's columns first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar

import msgspec

from wvflow.lang.algebra import Expr, Field, Literal
from wvflow.lang.types import NAMES, NUMERIC, UNKNOWN, Type
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.dialects import Contexts, rank
from wvflow.semantics.infer import type_of
from wvflow.semantics.scopes import Row, Scope
from wvflow.semantics.session import Session
from wvflow.semantics.types import columns_of_type, lineage_of, resolve_type, types_named
from wvflow.syntax.nodes import CallArg, FunctionDef, Name, Native, Param, PartialQuery, TypeDef, TypeName

D = TypeVar("D")
MAX_INLINED = 100
Bound = Mapping[str, Expr | tuple[Expr, ...]]
NOTHING = Literal(None, UNKNOWN)


class Method(NamedTuple):
    """A method, and the definition of the type that it stands in."""

    definition: FunctionDef
    owner: TypeDef

    @property
    def contexts(self) -> Contexts:
        return self.definition.contexts or self.owner.contexts


class Call(NamedTuple):
    """A call as it stands in the text. ``variables``: the parameters of the type that the definition stands in."""

    definition: FunctionDef
    args: Sequence[CallArg]
    use: Name
    scope: Scope
    variables: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.definition.name.text

    def type(self, written: TypeName | None) -> Type:
        session = self.scope.session
        with session.within(self.definition.span):
            return resolve_type(written, session, self.variables)


def chosen(name: str, session: Session) -> FunctionDef | None:
    """The definition of a name that counts for the engine at hand, None without one."""
    defined = session.definitions.functions.get(name, ())
    return _most_specific([(one, one.contexts) for one in defined], session)


def _most_specific(candidates: Sequence[tuple[D, Contexts]], session: Session) -> D | None:
    """The first one of the engine's own dialect, then of the dialect that this inherits from, then for any."""
    by_rank: dict[int, D] = {}
    for one, contexts in candidates:
        if (fit := rank(contexts, session.catalog.engine)) is not None:
            by_rank.setdefault(fit, one)
    return by_rank[min(by_rank)] if by_rank else None


# --- calls ----------------------------------------------------------------------------------------------------------


def call(definition: FunctionDef, args: Sequence[CallArg], use: Name, scope: Scope) -> Expr:
    """The body of a function with these arguments, which are read in the caller's scope."""
    place = replace(scope, locals={}, this=None, values={}, ctes={}, stages={})
    return _called(Call(definition, args, use, scope), place)


def call_method(method: Method, args: Sequence[CallArg], use: Name, scope: Scope, this: Expr | Row) -> Expr:
    """The body of a method with these arguments, which are read in the caller's scope; ``this`` is the receiver."""
    definition, owner = method
    variables = frozenset(one.name.text for one in owner.params)
    called = Call(definition, args, use, scope, variables)
    place = replace(scope, locals={}, this=this, values={}, ctes={}, stages={})
    if isinstance(this, Row):
        return _called(called, this.method_scope(place))
    fields = _fields(this, scope.session) if type_of(this).name == "struct" else {}
    return _called(called, replace(place, locals=fields))


def _fields(this: Expr, session: Session) -> Bound:
    """The columns of a row type that the receiver is a value of."""
    with session.apart():  # told at the definition
        columns = columns_of_type(type_of(this).named, session)
        return {one.name.text: Field(this, one.name.text, resolve_type(one.type, session)) for one in columns}


def _called(called: Call, place: Scope) -> Expr:
    bound = _given(called)
    with _inlining(called) as allowed:
        if not allowed:
            return NOTHING
        bound |= _defaults(called, bound)
        value = _inline(called, replace(place, locals={**place.locals, **bound}))
    return _typed(value, called.type(called.definition.result))


@contextmanager
def _inlining(called: Call) -> Iterator[bool]:
    """Within, the function is being put in place; false where it is already, or too many are, which is reported."""
    session, definition = called.scope.session, called.definition
    inlining, key = session.inlining, id(definition)
    if key in inlining:
        keys = list(inlining)
        path = [*[inlining[one] for one in keys[keys.index(key) :]], called.name]
        session.report(mistakes.recursive_function(path, definition.name.span))
        yield False
        return
    if len(inlining) >= MAX_INLINED:
        session.report(mistakes.inlined_too_deep(MAX_INLINED, called.use.span))
        yield False
        return
    inlining[key] = called.name
    try:
        yield True
    finally:
        del inlining[key]


def _inline(called: Call, place: Scope) -> Expr:
    definition, session = called.definition, called.scope.session
    body = definition.body
    if body is None or isinstance(body, Native | PartialQuery):
        session.report(mistakes.partial_query_as_value(called.name, called.use.span))
        return NOTHING
    with session.within(definition.span):
        try:
            return expressions.elaborate(body, place)
        except RecursionError:
            session.report(mistakes.inlined_too_deep(MAX_INLINED, called.use.span))
            return NOTHING


def _typed(value: Expr, declared: Type) -> Expr:
    """The value with its declared type where nothing better is known, and under the program's name of it."""
    found = type_of(value)
    better = declared if not found.is_known else found
    if declared.named and found.named != declared.named:
        better = Type(better.name, better.args, declared.named)
    if better is found or "type" not in value.__struct_fields__:
        return value
    return msgspec.structs.replace(value, type=better)  # type: ignore[type-var,unused-ignore]


# --- arguments ------------------------------------------------------------------------------------------------------


def split_params(definition: FunctionDef) -> tuple[Sequence[Param], Param | None]:
    """The parameters that take one argument each, and the one that takes those left."""
    params = definition.params or ()
    return (params[:-1], params[-1]) if params and params[-1].variadic else (params, None)


def _given(called: Call) -> dict[str, Expr | tuple[Expr, ...]]:
    """The value of each parameter that gets one. What doesn't fit is reported and left out."""
    scope, session = called.scope, called.scope.session
    fixed, rest = split_params(called.definition)
    positional = expressions.several([one.value for one in called.args if one.name is None], scope)
    bound: dict[str, Expr | tuple[Expr, ...]] = {}
    for param, value in zip(fixed, positional, strict=False):
        bound[param.name.text] = _typed(value, called.type(param.type))
    if rest is not None:
        bound[rest.name.text] = positional[len(fixed) :]
    elif len(positional) > len(fixed):
        count = len(called.args)
        session.report(mistakes.extra_function_argument(called.name, len(fixed), count, called.use.span))
    _bind_named(called, fixed, bound)
    return bound


def _bind_named(called: Call, fixed: Sequence[Param], bound: dict[str, Expr | tuple[Expr, ...]]) -> None:
    by_name = {param.name.text: param for param in fixed}
    for arg in called.args:
        if arg.name is None:
            continue
        name, use = arg.name.text, arg.name.span
        if (param := by_name.get(name)) is None:
            called.scope.session.report(mistakes.unknown_function_argument(called.name, name, use, by_name))
        elif name in bound:
            called.scope.session.report(mistakes.doubled_function_argument(called.name, name, use))
        else:
            bound[name] = _typed(expressions.elaborate(arg.value, called.scope), called.type(param.type))


def _defaults(called: Call, bound: Bound) -> Bound:
    """The values of the parameters that got none. A default may name the parameters before it."""
    session, definition = called.scope.session, called.definition
    found: dict[str, Expr | tuple[Expr, ...]] = {}
    for param in split_params(definition)[0]:
        name = param.name.text
        if name in bound:
            continue
        if param.default is None:
            if not _is_misspelt(called):
                session.report(mistakes.missing_function_argument(called.name, name, called.use.span))
            found[name] = NOTHING
        else:
            with session.within(definition.span):
                value = expressions.elaborate(param.default, Scope(session, locals={**bound, **found}))
            found[name] = _typed(value, called.type(param.type))
    return found


def _is_misspelt(called: Call) -> bool:
    """Whether an unknown name was probably meant for a parameter: one mistake is told once."""
    known = {param.name.text for param in called.definition.params or ()}
    return any(one.name is not None and one.name.text not in known for one in called.args)


# --- methods --------------------------------------------------------------------------------------------------------


def method(name: str, receiver: Type, session: Session) -> Method | None:
    """The method of a value's type that the program defines, then of the type's parents."""
    if not session.definitions.types:
        return None
    for start in (receiver.named, receiver.name):
        for type_name in lineage_of(start, session) if start else ():
            if (found := _own_method(name, type_name, session)) is not None:
                return found
    return None


def method_of_row(name: str, row_type: str, session: Session) -> Method | None:
    """The method of rows that are declared to be of a type."""
    return method(name, Type("struct", (), row_type), session) if row_type else None


def method_of_any(name: str, receiver: Type, session: Session) -> Method | None:
    """A method of arrays, as each column is one of its group; one for values of all types; for a value whose type is
    not known, the only one of that name."""
    if not session.definitions.types:
        return None
    for everybody in ("array", "any"):
        if (found := _own_method(name, everybody, session)) is not None:
            return found
    names = {one for one in session.definitions.types if _may_be(receiver, NAMES.get(one, one))}
    several = [found for one in sorted(names) if (found := _own_method(name, one, session)) is not None]
    return several[0] if len({id(one.definition) for one in several}) == 1 else None


def _may_be(receiver: Type, name: str) -> bool:
    if not receiver.is_known:
        return True
    return receiver.name in NUMERIC and name in NUMERIC


def _own_method(name: str, type_name: str, session: Session) -> Method | None:
    """A type for this dialect makes its methods such."""
    defined = [Method(one, node) for node in types_named(type_name, session) for one in node.methods]
    return _most_specific([(one, one.contexts) for one in defined if one.definition.name.text == name], session)
