"""What can be wrong with names, types and shapes of rows: one constructor per diagnostic.

What is about flows stands beside it, a file for each subject: ``mistakes_of_flows.py`` has the graph's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wvflow.diagnostics import Code, Diagnostic, Note, nearest
from wvflow.lang.types import NAMES, Type
from wvflow.source import Span

_MOST_SHOWN = 12
_LONGEST_SHOWN = 40


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    near = nearest(word, known)
    return f"did you mean `{near}`?" if near else otherwise


def shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first of many."""
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_SHOWN])
    more = len(names) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def not_available(what: str, use: Span, help: str | None = None) -> Diagnostic:
    return Diagnostic(Code.NOT_AVAILABLE, f"`{what}` is not available yet", use, help)


# --- names ----------------------------------------------------------------------------------------------------------


def unknown_stage(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_STAGE, f"no stage named `{name}` in this flow", use, did_you_mean(name, known))


def doubled_dependency(name: str, use: Span, first: Span) -> Diagnostic:
    message = f"`{name}` is named twice behind `depends on`"
    return Diagnostic(Code.DUPLICATE_NAME, message, use, "leave one out", (Note("first named here", first),))


def stage_wanted(name: str, what: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.STAGE_WANTED,
        f"`merge` takes stages, and `{name}` is {what}",
        use,
        f"make a stage of it: `stage s = from {name}`",
    )


def unknown_table(name: str, use: Span, near: str | None) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_TABLE,
        f"no stage, model or table named `{name}` is known",
        use,
        f"did you mean `{near}`?" if near else None,
    )


def unknown_column(name: str, use: Span, known: Sequence[tuple[str, Type]]) -> Diagnostic:
    names = [column for column, _ in known]
    shown = [f"{column}: {shortened(str(type_))}" if type_.is_known else column for column, type_ in known]
    notes = (Note(f"the columns here are {listed(shown)}" if known else "there are no columns here"),)
    return Diagnostic(Code.UNKNOWN_COLUMN, f"no column named `{name}`", use, did_you_mean(name, names), notes)


def unknown_qualifier(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_NAME,
        f"no source here is called `{name}`",
        use,
        did_you_mean(name, known, f"there is {listed(known)}" if known else None)
        or f"add it to the project file: [profile.default.connectors.{name}]",
    )


def unknown_name(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_NAME,
        f"`{name}` is no parameter, value or `val`, and there are no rows here",
        use,
        did_you_mean(name, known),
    )


def column_needs_row(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_NAME,
        f"`{name}` is no parameter, value or `val`",
        use,
        f"the value in the one input row is `_.{name}`, a text `'{name}'`",
    )


def duplicate_name(name: str, where: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_NAME,
        f"`{name}` is defined twice in this {where}",
        second,
        "rename one of them",
        (Note("first defined here", first),),
    )


def duplicate_source(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_NAME, f"two sources here are called `{name}`", use, f"give one another name: `… as {name}2`"
    )


def duplicate_type(name: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_TYPE,
        f"the type `{name}` is bound to another table already; this binding is not used",
        second,
        "rename one of them",
        (Note("the first one counts", first),),
    )


def duplicate_definition(name: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_DEFINITION,
        f"`{name}` is defined in two files; this one is not used",
        second,
        "rename one of them",
        (Note(f"the one in {first.source.name} counts", first),),
    )


def duplicate_column(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_COLUMN,
        f"there is a column `{name}` already",
        use,
        f"choose another name, or `exclude {name}` first",
    )


def hides_column(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NAME_HIDES_COLUMN,
        f"the parameter `{name}` hides the column of that name",
        use,
        f"write `_.{name}` for the column, or rename the parameter",
    )


def hidden_by_column(name: str, use: Span, val: Span) -> Diagnostic:
    return Diagnostic(
        Code.NAME_HIDES_COLUMN,
        f"the column `{name}` hides the `val` of that name",
        use,
        "rename the `val`",
        (Note("the val", val),),
    )


def data_file_missing(path: str, use: Span, near: str | None) -> Diagnostic:
    way_out = f"did you mean '{near}'?" if near else "paths are relative to the program's root folder"
    return Diagnostic(Code.DATA_FILE_MISSING, f"no file matches '{path}'", use, way_out)


def not_a_relation(name: str, what: str, use: Span, help: str | None = None) -> Diagnostic:
    return Diagnostic(Code.NOT_A_RELATION, f"`{name}` is {what}, not a relation", use, help)


def table_as_value(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NOT_A_RELATION,
        f"`{name}` is a table, not a value",
        use,
        f"write `{{ from {name} select … }}` for its value",
    )


_ELSEWHERE = {"text": "string", "str": "string", "datetime": "timestamp", "number": "double", "list": "array"}
"""What types are called in other languages."""


def unknown_type(name: str, use: Span, defined: Iterable[str] = ()) -> Diagnostic:
    help_ = did_you_mean(name, [*NAMES, *defined], "such as string, long or date")
    if name in _ELSEWHERE:
        help_ = f"it is called `{_ELSEWHERE[name]}` here"
    return Diagnostic(Code.UNKNOWN_TYPE, f"no type named `{name}`", use, help_)


def recursive_type(path: Sequence[str], use: Span) -> Diagnostic:
    return Diagnostic(Code.CYCLE, f"a type extends itself: {' -> '.join(path)}", use, "leave one `extends` out")


def recursive(what: str, path: Sequence[str], use: Span) -> Diagnostic:
    return Diagnostic(Code.RECURSIVE_MODEL, f"a {what} reads itself: {' -> '.join(path)}", use)


def expansion_too_deep(limit: int, use: Span) -> Diagnostic:
    return Diagnostic(Code.EXPANSION_TOO_DEEP, f"models are nested more than {limit} levels deep", use)


# --- types and arguments --------------------------------------------------------------------------------------------


def type_mismatch(op: str, left: Type, right: Type, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.TYPE_MISMATCH,
        f"`{op}` between {left} and {right}",
        use,
        "cast one side, for example `x::long` or `x.to_string`",
    )


def condition_wanted(found: Type, use: Span) -> Diagnostic:
    return Diagnostic(Code.TYPE_MISMATCH, f"a condition is true or false, and this is {found}", use)


def wrong_argument_count(name: str, wanted: str, given: int, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"`{name}` takes {wanted}, but {_were(given)} given", use)


def unknown_argument(callee: str, name: str, use: Span, known: Sequence[str], signature: str) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"`{callee}` has no argument `{name}`",
        use,
        did_you_mean(name, known),
        (Note(f"it is declared as {signature}"),),
    )


def duplicate_argument(callee: str, name: str, use: Span, signature: str) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_ARGUMENT,
        f"`{callee}` gets its argument `{name}` twice",
        use,
        None,
        (Note(f"it is declared as {signature}"),),
    )


def missing_argument(callee: str, name: str, use: Span, signature: str) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"`{callee}` needs its argument `{name}`",
        use,
        f"write `{callee}({name}: …)`",
        (Note(f"it is declared as {signature}"),),
    )


def _were(given: int) -> str:
    return "1 was" if given == 1 else f"{given} were"


def too_many_arguments(callee: str, wanted: tuple[int, str], given: int, use: Span, signature: str) -> Diagnostic:
    """``wanted``: how many, and of which kind only."""
    number, kind = wanted
    takes = "no arguments" if number == 0 else "1 argument" if number == 1 else f"{number} arguments"
    return Diagnostic(
        Code.BAD_ARGUMENT,
        f"`{callee}` takes {takes}{kind and f' {kind}'}, but {_were(given)} given",
        use,
        None,
        (Note(f"it is declared as {signature}"),),
    )


def mistyped_argument(callee: str, name: str, wanted: Type, found: Type, use: Span, signature: str) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        f"argument `{name}` of `{callee}` is of type {wanted}, and this is {found}",
        use,
        None,
        (Note(f"it is declared as {signature}"),),
    )


def no_such_choice(callee: str, name: str, given: object, choices: Sequence[object], use: Span) -> Diagnostic:
    texts = [one for one in choices if isinstance(one, str)]
    return Diagnostic(
        Code.BAD_ARGUMENT,
        f"argument `{name}` of `{callee}` is one of {', '.join(map(repr, choices))}, and this is {given!r}",
        use,
        did_you_mean(given, texts) if isinstance(given, str) else None,
    )


def unusable_model(name: str, found: Diagnostic) -> Diagnostic:
    """An error in a model that nothing uses keeps no run from starting."""
    return found._replace(code=Code.UNUSABLE_MODEL, message=f"the model `{name}` can't be used: {found.message}")


def mistyped_default(name: str, wanted: Type, found: Type, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"the parameter `{name}` is of type {wanted}, and its default is {found}", use)


def default_not_constant(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"the default of `{name}` is not a constant", use)


def no_such_position(number: str, there: int, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_COLUMN,
        f"there is no column {number}: there {'is' if there == 1 else 'are'} {_columns(there)}",
        use,
    )


def nothing_left(use: Span) -> Diagnostic:
    return Diagnostic(Code.RAGGED_ROWS, "this excludes all columns", use, "leave at least one")


def unit_wanted(use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, "`extract` takes one unit as text", use, "write `extract('year')`")


def unreadable_default(name: str, wanted: Type, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"the default of `{name}` has no value of type {wanted}", use)


def long_table_name(use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, "a table's name has at most three parts", use, "write `catalog.schema.table`")


def ragged_rows(wanted: int, found: int, use: Span) -> Diagnostic:
    values = "1 value" if found == 1 else f"{found} values"
    return Diagnostic(
        Code.RAGGED_ROWS, f"this row has {values}, and there {'is' if wanted == 1 else 'are'} {_columns(wanted)}", use
    )


def column_list_length(wanted: int, found: int, use: Span) -> Diagnostic:
    return Diagnostic(Code.RAGGED_ROWS, f"{_columns(found)} are named, and there are {wanted}", use)


def no_columns(use: Span) -> Diagnostic:
    return Diagnostic(Code.RAGGED_ROWS, "rows without any column", use, "name them: `[] as t(id, name)`")


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


# --- groups and relations -------------------------------------------------------------------------------------------


def no_such_key(name: str, keys: int, use: Span) -> Diagnostic:
    there = "1 grouping key" if keys == 1 else f"{keys} grouping keys"
    return Diagnostic(Code.BAD_GROUPING, f"there is no key `{name}`: this groups by {there}", use)


def key_inside_expression(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_GROUPING,
        f"`{name}` stands for a grouping key only as a whole item",
        use,
        "write the key's name or expression here",
    )


def bare_underscore(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BARE_UNDERSCORE,
        "`_` alone is no value",
        use,
        "write `_.column`, or `_.count` for the number of rows",
    )


def star_not_allowed(use: Span) -> Diagnostic:
    return Diagnostic(Code.MISPLACED, "`*` is no value", use, "it stands as an item of `select`, and in `count(*)`")


def star_without_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED, "`*` stands for all columns, and there are no rows here", use, "begin with `from`"
    )


def mixed_sources(stage: str, other: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_MERGE,
        f"`{stage}` is a stage and {other} is none: fan-in and cross join can't be mixed",
        use,
        f"give {other} a stage of its own, or write `cross join`",
    )


def alias_in_fan_in(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_MERGE,
        "stages that are merged have no names of their own",
        use,
        "leave the alias out, or write `cross join`",
    )


def different_columns(what: str, counts: Sequence[int], use: Span) -> Diagnostic:
    numbers = " and ".join(map(str, counts))
    return Diagnostic(
        Code.BAD_MERGE, f"`{what}` over different numbers of columns: {numbers}", use, "select the same columns in each"
    )


def only_in_stage(what: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"{what} can't stand inside a query",
        use,
        "put it into the pipe of a stage, and read that stage here",
    )


def rows_of_no_stage(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        "`from _` means the rows that a stage is given, and this stands in none",
        use,
        "name a table, a file, a model or rows in brackets",
    )


def activity_outside_flow(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"the activity `{name}` runs in a stage of a flow",
        use,
        f"write `flow F = {{ stage s = … | {name}(…) }}`",
    )


def activate_outside_flow(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        "`activate` stands in a stage of a flow",
        use,
        "write `flow F = { stage s = … | activate(…) }`",
    )


def activity_in_expression(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED, f"`{name}` is an activity, not a function", use, f"it stands behind a pipe: `… | {name}(…)`"
    )


def secret_misplaced(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED, "a secret is only given to activities", use, "write it as an argument: `f(key: secret('NAME'))`"
    )


def secret_name_wanted(use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, "`secret` takes one name as text", use, "write `secret('NAME')`")


def unknown_unit(unit: str, use: Span, help: str | None) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"`extract` knows no unit '{unit}'", use, help)


def option_over_rows(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"the option `{name}` wants a constant value", use)


def behind_update(word: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"`{word if word == 'delete' else f'{word} to'}` ends a query",
        use,
        "write what follows as a query of its own, or put it into a stage",
    )


def only_in_statement(what: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.MISPLACED, f"`{what}` stands in statements only", use, "make a model of the query")


# --- functions and partial queries ----------------------------------------------------------------------------------


def recursive_function(path: Sequence[str], use: Span) -> Diagnostic:
    return Diagnostic(Code.RECURSIVE_FUNCTION, f"a function calls itself: {' -> '.join(path)}", use)


def recursive_partial_query(path: Sequence[str], use: Span) -> Diagnostic:
    return Diagnostic(Code.RECURSIVE_PARTIAL_QUERY, f"a partial query applies itself: {' -> '.join(path)}", use)


def inlined_too_deep(limit: int, use: Span) -> Diagnostic:
    return Diagnostic(Code.INLINED_TOO_DEEP, f"functions are nested more than {limit} levels deep", use)


def unknown_partial_query(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    help_ = did_you_mean(name, known, f"define it: `def {name} = where …`")
    return Diagnostic(Code.UNKNOWN_PARTIAL_QUERY, f"no partial query or activity named `{name}` is known", use, help_)


def partial_query_as_value(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.PARTIAL_QUERY_BODY,
        f"`{name}` is no value but a part of a query",
        use,
        f"apply it behind a pipe: `| {name}`",
    )


def extra_function_argument(name: str, wanted: int, given: int, use: Span) -> Diagnostic:
    takes = "no arguments" if wanted == 0 else f"{wanted} argument{'s' if wanted > 1 else ''}"
    return Diagnostic(Code.FUNCTION_ARGUMENTS, f"`{name}` takes {takes}, and {given} are given", use)


def unknown_function_argument(name: str, argument: str, use: Span, known: Iterable[str]) -> Diagnostic:
    help_ = did_you_mean(argument, known)
    return Diagnostic(Code.FUNCTION_ARGUMENTS, f"`{name}` has no parameter `{argument}`", use, help_)


def doubled_function_argument(name: str, argument: str, use: Span) -> Diagnostic:
    message = f"`{name}` gets its parameter `{argument}` twice"
    return Diagnostic(Code.FUNCTION_ARGUMENTS, message, use, "leave one out")


def missing_function_argument(name: str, argument: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.FUNCTION_ARGUMENTS, f"`{name}` needs a value for `{argument}`", use)


def rest_not_last(name: str, use: Span) -> Diagnostic:
    message = f"`{name}` takes all remaining arguments, and parameters stand behind it"
    return Diagnostic(Code.FUNCTION_ARGUMENTS, message, use, "put it last")


def not_a_partial_query(name: str, use: Span) -> Diagnostic:
    message = f"`{name}` is a function of values, not a part of a query"
    return Diagnostic(Code.PARTIAL_QUERY_BODY, message, use, f"call it in an operator: `| select {name}(…)`")


def update_in_partial_query(name: str, word: str, use: Span) -> Diagnostic:
    message = f"`{word}` can't stand in a partial query, and `{name}` is one"
    return Diagnostic(Code.PARTIAL_QUERY_BODY, message, use, "put it behind the application")


def column_missing_in_partial_query(found: Diagnostic, name: str, uses: Sequence[Span]) -> Diagnostic:
    """An unknown column, told as one that the input of a partial query is to have."""
    notes = (Note("it is applied here", uses[0]),) if len(uses) == 1 else ()
    message = f"{found.message} in what `{name}` is applied to"
    return found._replace(code=Code.PARTIAL_QUERY_COLUMN, message=message, notes=(*found.notes, *notes))


# --- statements -----------------------------------------------------------------------------------------------------


def not_in_dialect(name: str, dialect: str, others: Sequence[str], use: Span) -> Diagnostic:
    help_ = f"it is a method of {' and '.join(others)}: `wvflow compile --dialect {others[0]}`"
    return Diagnostic(Code.NOT_IMPLEMENTED, f"`{name}` is not implemented in {dialect}", use, help_)


def not_implemented(what: str, use: Span, help: str | None = None) -> Diagnostic:
    return Diagnostic(Code.NOT_IMPLEMENTED, f"`{what}` is not implemented", use, help)


def unknown_show(what: str, use: Span, known: Iterable[str]) -> Diagnostic:
    listed_ = listed(sorted([*known, "query"]))
    return Diagnostic(
        Code.UNKNOWN_SHOW, f"Unknown argument for show: `{what}`", use, did_you_mean(what, known, f"there is {listed_}")
    )


def table_wanted(use: Span) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_SHOW, "`show columns` needs a table", use, "write `show columns in my_table`")


def unknown_shown_model(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_SHOWN_MODEL, f"no model is named `{name}`", use, did_you_mean(name, known))


def sql_wanted(word: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"`{word}` takes SQL", use, f'write `{word} sql"…"`')


def unknown_connector(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        f"no connector of this profile is named `{name}`",
        use,
        did_you_mean(name, known, f"there is {listed(known)}" if known else None)
        or f"add it to the project file: [profile.default.connectors.{name}]",
    )


def long_schema_name(use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, "a schema's name has at most two parts", use, "write `use catalog.schema`")


def bad_delete(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_UPDATE,
        "`delete` stands behind one table, with nothing but `where` between",
        use,
        "write `from t where … delete`",
    )


def unclear_test(reason: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNSUPPORTED_TEST,
        f"this test can't be judged: {reason}",
        use,
        "compare `_.size`, `_.columns`, `_.rows`, `_.json` or `_.output` with a constant",
    )


def missing_schema(name: str, use: Span, near: str | None) -> Diagnostic:
    help_ = f"did you mean `{near}`?" if near else "`show schemas` lists those that there are"
    return Diagnostic(Code.MISSING_SCHEMA, f"there is no schema `{name}`", use, help_)


def missing_catalog(name: str, use: Span, near: str | None) -> Diagnostic:
    help_ = f"did you mean `{near}`?" if near else "`show catalogs` lists those that there are"
    return Diagnostic(Code.MISSING_CATALOG, f"there is no catalog `{name}`", use, help_)


def missing_table(name: str, use: Span, near: str | None) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_TABLE, f"there is no table `{name}`", use, f"did you mean `{near}`?" if near else None
    )


def file_without_quotes(path: str, use: Span) -> Diagnostic:
    help_ = f"a file is written in quotes: `from '{path}'`"
    return Diagnostic(Code.MISSING_TABLE, f"there is no table `{path}`", use, help_)


def missing_file(path: str, use: Span, near: str | None) -> Diagnostic:
    help_ = f"did you mean '{near}'?" if near else "paths are relative to the folder of the program"
    return Diagnostic(Code.MISSING_FILE, f"there is no file '{path}'", use, help_)


def asof_without_condition(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        "an asof join without a condition has no nearest row",
        use,
        "write `on` with equalities and one inequality: `on t.k = q.k and t.at >= q.at`",
    )


def asof_inequalities(there: int, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        f"an asof join has one inequality between the two sides, and this has {there or 'none'}",
        use,
        "write equalities and one inequality: `on t.k = q.k and t.at >= q.at`",
    )


def ungrouped(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_GROUPING,
        f"`{name}` is neither a grouping key nor aggregated, and a group has many of it",
        use,
        f"write `{name}.arbitrary` for any one of them, or group by it too",
    )


def pivoted_value(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_GROUPING,
        "a value of a pivot holds one aggregate, and no query",
        use,
        "pivot what it is made of, and reckon with the columns behind it",
    )


def unknown_method(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        f"there is no sampling method `{name}`",
        use,
        did_you_mean(name, known, f"there is {listed(known)}" if known else None)
        or f"add it to the project file: [profile.default.connectors.{name}]",
    )


def broken_count(text: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"{text} is no number of rows", use, f"write `{text}%` for a share")


# --- types ----------------------------------------------------------------------------------------------------------


def one_parent(use: Span) -> Diagnostic:
    return Diagnostic(Code.UNEXPECTED_TOKEN, "a type extends one other type", use, "leave the others out")


def long_context(use: Span) -> Diagnostic:
    return Diagnostic(Code.UNEXPECTED_TOKEN, "a context is a dialect or `catalog.schema`", use)


def one_query_wanted(path: str, count: int, use: Span) -> Diagnostic:
    return Diagnostic(Code.UNEXPECTED_TOKEN, f"'{path}' has {count} statements, and is to be one query", use)


def name_not_constant(use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, "a computed name is made of constants, vals and a model's parameters", use)


def this_misplaced(use: Span) -> Diagnostic:
    return Diagnostic(Code.MISPLACED, "`this` is the receiver of a method, and there is none here", use)


def row_as_value(use: Span) -> Diagnostic:
    return Diagnostic(Code.MISPLACED, "`this` is a row here, not a value", use, "name a column of it: `this.name`")


def function_wanted(use: Span) -> Diagnostic:
    return Diagnostic(Code.MISPLACED, "a window is over a function", use, "write `sum(x) over (…)`")


def window_in_where(use: Span, word: str = "where") -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"`{word}` decides over each row before windows are made",
        use,
        f"make it a column first: `add n = … over (…)`, then `{word} n …`",
    )


def aggregate_in_where(function: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"`where` decides over each row, and `{function}` is over many",
        use,
        "put `where` right behind `group by`, or make it a column first: `agg`, or `add n = … over ()`",
    )
