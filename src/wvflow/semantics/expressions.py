"""Expressions of the text to typed expressions of the algebra (query reference, section 7).

What can't be understood is reported and becomes ``NOTHING``, so that one text gives several findings. One level of
the tree costs at most three calls: the parser's limit of nesting counts on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from wvflow.lang import algebra as a
from wvflow.lang.algebra import Binary, Branch, Call, Case, Cast, Expr, In, InQuery, IsNull, Literal, NamedArgument
from wvflow.lang.asked import COUNTS
from wvflow.lang.evaluate import evaluate, is_static
from wvflow.lang.relations import nodes as nodes_of
from wvflow.lang.stdlib import AGGREGATES, RESULT_OF_FIRST, RESULTS
from wvflow.lang.types import BOOLEAN, DECIMAL, DOUBLE, DURATION, LONG, NULL, STRING, Type, array_of
from wvflow.lang.ulids import NATIVE
from wvflow.semantics import functions, infer, methods, mistakes, mistakes_of_conversations, names, windows
from wvflow.semantics.infer import type_of
from wvflow.semantics.scopes import Row, Scope
from wvflow.semantics.types import resolve_type
from wvflow.syntax import nodes as n
from wvflow.syntax.substitute import apart

SECRET = "secret"
_NUMBERS = {"exp": DOUBLE, "float": Type("float"), "double": DOUBLE}
_EQUALITIES = {"is": "=", "is not": "!="}
_ENGINE_FUNCTIONS = AGGREGATES | RESULT_OF_FIRST | RESULTS.keys()


def elaborate(node: n.Expr, scope: Scope) -> Expr:
    """The typed expression. Names are looked up in ``scope``; findings go to its session."""
    match node:
        case n.NameRef(name=name):
            return names.resolve(name, scope)
        case n.NumberLiteral():
            return _number(node)
        case n.StringLiteral(value=value):
            return Literal(value, STRING)
        case n.BooleanLiteral(value=value):
            return Literal(value, BOOLEAN)
        case n.NullLiteral():
            return Literal(None, NULL)
        case n.DurationLiteral(text=text):
            return Literal(text, DURATION)
        case n.TypedLiteral(value=value, type=written):
            return Cast(Literal(value, STRING), resolve_type(written, scope.session))
        case n.Paren(inner=inner):
            return elaborate(inner, scope)
        case n.BinaryExpr():
            return _binary(node, scope)
        case n.UnaryExpr():
            return _unary(node, scope)
        case n.Dot() | n.CallExpr():
            return _call(node, scope)
        case n.CastExpr(operand=operand, type=written):
            return Cast(elaborate(operand, scope), resolve_type(written, scope.session))
        case n.InExpr() | n.BetweenExpr() | n.LikeExpr():
            return _predicate(node, scope)
        case n.IfExpr() | n.CaseExpr():
            return _case(node, scope)
        case n.TupleExpr() | n.ArrayExpr() | n.StructExpr() | n.MapExpr() | n.IndexExpr():
            return _composite(node, scope)
        case n.Subquery(query=query):
            found = scope.session.query(query, scope.inside())
            columns = found.shape.columns
            return a.ScalarQuery(found.rel, columns[0].type) if columns else a.ScalarQuery(found.rel)
        case n.ExistsExpr(query=query):
            return a.Exists(scope.session.query(query, scope.inside()).rel)
        case n.Interpolation():
            return _interpolation(node, scope)
        case n.Over():
            return windows.window(node, scope)
        case n.Lambda():
            return _lambda(node, scope)
        case n.This():
            return _this(node, scope)
        case n.Underscore() | n.StarRef():
            return _refused(node, scope)
        case _:
            assert_never(node)


def condition(node: n.Expr, scope: Scope) -> Expr:
    """An expression that decides; one of another known type gets a warning."""
    found = elaborate(node, scope)
    type_ = type_of(found)
    if type_.is_known and type_ not in (BOOLEAN, NULL):
        scope.session.report(mistakes.condition_wanted(type_, node.span))
    return found


def _refused(node: n.Underscore | n.StarRef, scope: Scope) -> Expr:
    bare = isinstance(node, n.Underscore)
    scope.session.report(mistakes.bare_underscore(node.span) if bare else mistakes.star_not_allowed(node.span))
    return names.NOTHING


def _this(node: n.This, scope: Scope) -> Expr:
    """The receiver of the method around. A row has no value of its own."""
    if scope.this is None or isinstance(scope.this, Row):
        found = mistakes.this_misplaced if scope.this is None else mistakes.row_as_value
        scope.session.report(found(node.span))
        return names.NOTHING
    return scope.this


def _lambda(node: n.Lambda, scope: Scope) -> Expr:
    """A variable is renamed where its body names a column or an outer variable by a parameter or in a function, so that
    it doesn't catch that."""
    written = [name.text for name in node.params]
    taken = _named_in(tuple(scope.locals.values()))
    found = _lambda_with([apart(name, taken) for name in written], written, node, scope)
    if clash := _named_in(found.body, columns_only=True) & {*found.params}:
        taken |= clash | _named_in(found.body)
        found = _lambda_with([apart(name, taken) for name in written], written, node, scope)
    return found


def _lambda_with(params: list[str], written: list[str], node: n.Lambda, scope: Scope) -> a.LambdaValue:
    named = {old: a.LocalName(new) for old, new in zip(written, params, strict=True)}
    body = elaborate(node.body, replace(scope, locals={**scope.locals, **named}))
    return a.LambdaValue(tuple(params), body, type_of(body))


def _named_in(tree: object, *, columns_only: bool = False) -> set[str]:
    """The columns and variables that an expression names."""
    kinds = a.Column if columns_only else a.Column | a.LocalName
    return {one.name for one in nodes_of(tree) if isinstance(one, kinds)}


# --- literals -------------------------------------------------------------------------------------------------------


def _number(node: n.NumberLiteral) -> Literal:
    if node.kind == "int":
        return Literal(int(node.text), LONG)
    return Literal(node.text, _decimal_type(node.text) if node.kind == "decimal" else _NUMBERS[node.kind])


def _decimal_type(text: str) -> Type:
    """A decimal's type by its digits: ``2.50`` is ``decimal[3,2]``."""
    whole, _, fraction = text.partition(".")
    digits = len(whole.lstrip("0")) + len(fraction)
    return Type("decimal", (max(digits, 1), len(fraction))) if digits <= 38 else DECIMAL


def _interpolation(node: n.Interpolation, scope: Scope) -> Expr:
    """``s"a${x}b"``: nested ``concat`` from the left, holes cast to text unless they are text; ``sql"…"`` stays SQL."""
    match node.prefix:
        case "s":
            return text_of(node, scope)
        case "sql":
            return a.RawSql(parts(node, scope))
        case "s`":
            return _computed_name(node, scope)
    scope.session.report(mistakes.not_implemented(f'{node.prefix}"…"', node.span))
    return names.NOTHING


def parts(node: n.Interpolation, scope: Scope) -> tuple[str | Expr, ...]:
    """Text and values in turn; a parameter that takes all remaining arguments is a list of them."""
    found: list[str | Expr] = []
    for part in node.parts:
        listed = _several(part, scope)
        if isinstance(part, str):
            found.append(part)
        elif listed is None:
            found.append(elaborate(part, scope))
        else:
            for index, one in enumerate(listed):
                found += [", ", one] if index else [one]
    return tuple(found)


def _several(node: str | n.Expr, scope: Scope) -> tuple[Expr, ...] | None:
    """The arguments that a variadic parameter stands for."""
    if not isinstance(node, n.NameRef) or node.name.quoted:
        return None
    found = scope.locals.get(node.name.text)
    return found if isinstance(found, tuple) else None


def _computed_name(node: n.Interpolation, scope: Scope) -> Expr:
    """A column whose name is made of constants."""
    found = text_of(node, scope.over(None))
    if not is_static(found) or any(isinstance(one, a.Value) for one in nodes_of(found)):
        scope.session.report(mistakes.name_not_constant(node.span))
        return names.NOTHING
    name = n.Name(text=str(evaluate(found, {})), quoted=True, span=node.span)
    return names.resolve(name, scope)


def text_of(node: n.Interpolation, scope: Scope) -> Expr:
    pieces = [_piece(part, scope) for part in node.parts if part != ""]
    if not pieces:
        return Literal("", STRING)
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = Call("concat", (whole, piece), type=STRING)
    return whole


def _piece(part: str | n.Expr, scope: Scope) -> Expr:
    if isinstance(part, str):
        return Literal(part, STRING)
    value = elaborate(part, scope)
    return value if type_of(value) == STRING else Cast(value, STRING)


# --- operators ------------------------------------------------------------------------------------------------------


def _binary(node: n.BinaryExpr, scope: Scope) -> Expr:
    if node.op == "+":
        return _plus(node, scope)
    left, right = elaborate(node.left, scope), elaborate(node.right, scope)
    op = _EQUALITIES.get(node.op, node.op)
    if op in ("=", "!=") and (operand := _beside_null(left, right)) is not None:
        return IsNull(operand, negated=op == "!=")
    return _operation(op, left, right, node, scope)


def _operation(op: str, left: Expr, right: Expr, node: n.BinaryExpr, scope: Scope) -> Expr:
    types = type_of(left), type_of(right)
    if infer.mismatch(op, *types):
        scope.session.report(mistakes.type_mismatch(op, *types, node.span))
    return Binary(op, left, right, infer.binary(op, *types))  # type: ignore[arg-type]  # the parser's operators


def _beside_null(left: Expr, right: Expr) -> Expr | None:
    """What is compared with ``null``, on either side."""
    if isinstance(right, Literal) and right.type == NULL:
        return left
    return right if isinstance(left, Literal) and left.type == NULL else None


def _plus(node: n.BinaryExpr, scope: Scope) -> Expr:
    """A chain of ``+``: concatenation, nested to the right, as soon as one operand is text (section 7.4)."""
    chain: list[n.BinaryExpr] = [node]
    while isinstance(chain[-1].left, n.BinaryExpr) and chain[-1].left.op == "+":
        chain.append(chain[-1].left)
    operands = [elaborate(chain[-1].left, scope)]
    operands += [elaborate(one.right, scope) for one in reversed(chain)]
    if any(type_of(one) == STRING for one in operands):
        return _concatenated(operands)
    total = operands[0]
    for one, operand in zip(reversed(chain), operands[1:], strict=True):
        total = _operation("+", total, operand, one, scope)
    return total


def _concatenated(operands: list[Expr]) -> Expr:
    text = operands[-1]
    for operand in reversed(operands[:-1]):
        text = Call("concat", (operand, text), type=STRING)
    return text


def _unary(node: n.UnaryExpr, scope: Scope) -> Expr:
    operand = elaborate(node.operand, scope)
    if node.op != "not":
        return a.Unary(node.op, operand, type_of(operand))
    if isinstance(operand, a.Exists):
        return a.Exists(operand.query, negated=not operand.negated)
    return a.Unary("not", operand, BOOLEAN)


def _predicate(node: n.InExpr | n.BetweenExpr | n.LikeExpr, scope: Scope) -> Expr:
    operand = elaborate(node.operand, scope)
    match node:
        case n.InExpr(options=options, negated=negated):
            return contained(operand, options, scope, negated=negated)
        case n.BetweenExpr(low=low, high=high, negated=negated):
            return a.Between(operand, elaborate(low, scope), elaborate(high, scope), negated)
        case n.LikeExpr(pattern=pattern, escape=escape, negated=negated):
            ends = None if escape is None else elaborate(escape, scope)
            return a.Like(operand, elaborate(pattern, scope), ends, negated)


def contained(operand: Expr, options: tuple[n.Expr, ...], scope: Scope, *, negated: bool) -> In | InQuery:
    """``operand in (…)`` over values or over one sub-query."""
    match options:
        case (n.Subquery(query=query),):
            return InQuery(operand, scope.session.query(query, scope.inside()).rel, negated)
        case _:
            return In(operand, several(options, scope), negated)


def several(written: Iterable[n.Expr], scope: Scope) -> tuple[Expr, ...]:
    """The values of a list; among them all those that a parameter for the remaining arguments stands for."""
    return tuple([value for one in written for value in _arguments(one, scope)])


def _case(node: n.IfExpr | n.CaseExpr, scope: Scope) -> Case:
    operand: Expr | None = None
    otherwise: Expr | None = None
    if isinstance(node, n.IfExpr):
        branches = [Branch(condition(node.condition, scope), elaborate(node.then, scope))]
        otherwise = elaborate(node.otherwise, scope)
    else:
        decide = condition if node.operand is None else elaborate
        branches = [Branch(decide(one.condition, scope), elaborate(one.then, scope)) for one in node.branches]
        operand = None if node.operand is None else elaborate(node.operand, scope)
        otherwise = None if node.otherwise is None else elaborate(node.otherwise, scope)
    results = [one.then for one in branches] + ([otherwise] if otherwise else [])
    return Case(tuple(branches), otherwise, operand, infer.common([type_of(one) for one in results]))


def _composite(node: n.TupleExpr | n.ArrayExpr | n.StructExpr | n.MapExpr | n.IndexExpr, scope: Scope) -> Expr:
    match node:
        case n.TupleExpr(items=items):
            return a.Tuple(several(items, scope))
        case n.ArrayExpr(items=items):
            members = several(items, scope)
            inner = infer.common([type_of(one) for one in members])
            return a.Array(members, array_of(inner) if inner.is_known else Type("array"))
        case n.StructExpr(fields=fields):
            values = [NamedArgument(one.name.text, elaborate(one.value, scope)) for one in fields]
            return a.StructValue(tuple(values), Type("struct"))
        case n.MapExpr(entries=entries):
            pairs = [a.Entry(elaborate(one.key, scope), elaborate(one.value, scope)) for one in entries]
            keys = infer.common([type_of(one.key) for one in pairs])
            values_ = infer.common([type_of(one.value) for one in pairs])
            return a.MapValue(tuple(pairs), Type("map", (keys, values_)) if pairs else Type("map"))
        case n.IndexExpr(operand=operand, index=index):
            whole = elaborate(operand, scope)
            return a.Index(whole, elaborate(index, scope), infer.member(type_of(whole)))


# --- calls ----------------------------------------------------------------------------------------------------------


def _call(node: n.Dot | n.CallExpr, scope: Scope) -> Expr:
    if isinstance(node, n.Dot):
        return methods.member(node.operand, node.name, None, node.span, scope)
    if node.receiver is not None:
        return methods.member(node.receiver, node.function, node.args, node.span, scope)
    name = node.function.text
    if name == SECRET and not node.function.quoted:
        return _secret(node, scope)
    defined = None if node.function.quoted else functions.chosen(name, scope.session)
    if defined is not None and not isinstance(defined.body, n.Native | None):
        return functions.call(defined, node.args, node.function, scope)
    if name == NATIVE and not node.args:
        return names.native(scope.session)
    if not node.function.quoted and (known := scope.functions.get(name)) is not None:
        return _without_arguments(node, known, scope)
    if scope.functions and not node.function.quoted and (asked := _misasked(node, scope)) is not None:
        return asked
    if _is_activity(name, scope):
        scope.session.report(mistakes.activity_in_expression(name, node.function.span))
        return names.NOTHING
    if name.lower() == "extract" and len(node.args) == 2:
        return methods.extracted(node, scope)
    scope.session.use(name, node.function.span)
    return function(name, (), node.args, scope)


def _without_arguments(node: n.CallExpr, value: Expr, scope: Scope) -> Expr:
    if node.args:
        name = node.function.text
        scope.session.report(mistakes.wrong_argument_count(name, "no arguments", len(node.args), node.span))
    return value


def _misasked(node: n.CallExpr, scope: Scope) -> Expr | None:
    """In a query of a run, what is no function there: a count, or what sets a variable. None for any other."""
    name, use = node.function.text, node.function.span
    if name in COUNTS:
        scope.session.report(mistakes_of_conversations.count_called(name, use))
        return scope.values.get(name, names.NOTHING)
    if name.startswith("set_") and name.removeprefix("set_") in scope.state:
        scope.session.report(mistakes_of_conversations.action_in_query(name, use))
        return names.NOTHING
    return None


def _is_activity(name: str, scope: Scope) -> bool:
    session = scope.session
    return name not in _ENGINE_FUNCTIONS and (
        name in session.definitions.activities or name in session.catalog.activities
    )


def _secret(node: n.CallExpr, scope: Scope) -> Expr:
    match node.args:
        case _ if not scope.for_argument:
            scope.session.report(mistakes.secret_misplaced(node.span))
        case (n.CallArg(value=n.StringLiteral(value=secret), name=None),):
            return Call(SECRET, (Literal(secret, STRING),), type=STRING)
        case _:
            scope.session.report(mistakes.secret_name_wanted(node.span))
    return names.NOTHING


def function(name: str, before: tuple[Expr, ...], args: tuple[n.CallArg, ...], scope: Scope) -> Call:
    """A call of an engine's function with these arguments behind those in ``before``."""
    args = tuple([_compared(one) for one in args]) if name in AGGREGATES else args
    given = [(one, value) for one in args for value in _arguments(one.value, scope)]
    positional = (*before, *[value for one, value in given if one.name is None])
    named = tuple([NamedArgument(one.name.text, value) for one, value in given if one.name is not None])
    distinct = any(one.distinct for one in args)
    return Call(name, positional, named, distinct, infer.call(name.lower(), positional))


def _compared(arg: n.CallArg) -> n.CallArg:
    """``count_if(id = 2)`` compares: aggregates have no arguments with names."""
    if arg.name is None:
        return arg
    left = n.NameRef(name=arg.name, span=arg.name.span)
    return n.CallArg(value=n.BinaryExpr(op="=", left=left, right=arg.value, span=arg.span), span=arg.span)


def _arguments(node: n.Expr, scope: Scope) -> tuple[Expr, ...]:
    """The value of an argument; all of them for a parameter that takes the remaining ones."""
    found = _several(node, scope)
    return (_argument(node, scope),) if found is None else found


def _argument(node: n.Expr, scope: Scope) -> Expr:
    if isinstance(node, n.StarRef):
        return a.Star(node.qualifier.text if node.qualifier else "")
    return elaborate(node, scope)
