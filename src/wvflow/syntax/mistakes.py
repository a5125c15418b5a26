"""What can be wrong with a text: one constructor per diagnostic, so that the wording is edited as a set."""

from __future__ import annotations

from collections.abc import Iterable

from wvflow.diagnostics import Code, Diagnostic, Note, nearest
from wvflow.source import Span
from wvflow.syntax.tokens import RESERVED, T, Token

# Habits from SQL and other languages, and what this one writes instead.
_HABITS = {
    "using": "join on equal names with `on`: `join b on id`",
    "union": "write `concat { … }`, and `| dedup` for distinct rows",
    "having": "write `where` after `group by`",
    "filter": "rows are chosen by `where`",
    "#": "a comment begins with `--`",
    "//": "`//` divides whole numbers; a comment begins with `--`",
    "end": "a `case` is not closed by `end`: leave it out",
    "outer": "leave `outer` out: `left join`, `full join`",
    "<-": "put a blank between `<` and `-`",
    "=>": "an arrow is written `->`; the comparison is `>=`",
    "?": "write `if … then … else …`",
    "from": "a query begins with its source: `from t select a`",
    "task": "a unit of work in a flow is a `stage`",
    "workflow": "it is called `flow`",
    "merge": "`merge` begins a body: `stage s = merge a, b`",
    **dict.fromkeys(("route", "fork", "wait", "while", "activate"), "it stands behind a pipe: `… | {} …`"),
    "->": "a flow is invoked behind a pipe (`… | -> F`); a lambda is an argument of a call (`f(x -> …)`)",
}
# What a word that stands where it can't is meant for, by the first word of what could and by what follows it.
_MEANT = {
    ("an", "("): "what is called stands behind a pipe: `| {}(…)`",
    ("an", "="): "a stage begins with its word: `stage {} = …`",
    ("a", "="): "a property has a colon: `{}: …`",
}
_LONGEST_SHOWN = 40
_FOREIGN_CHARACTERS = {
    "“": "straight quotes: `'…'` or `\"…\"`",
    "”": "straight quotes: `'…'` or `\"…\"`",
    "„": "straight quotes: `'…'` or `\"…\"`",
    "‘": "straight quotes: `'…'`",
    "’": "straight quotes: `'…'`",
    "–": "`-`",
    "—": "`-`",
    "−": "`-`",
    "→": "`->`",
    "≤": "`<=`",
    "≥": "`>=`",
    "≠": "`!=`",
    "\u00a0": "an ordinary blank: this is a no-break space",
    "\ufeff": "nothing here: this is an invisible byte-order mark",
}


# --- characters and tokens ------------------------------------------------------------------------------------------


def bad_character(text: str, span: Span) -> Diagnostic:
    shown = text if text.isprintable() else f"U+{ord(text[0]):04X}"
    instead = _FOREIGN_CHARACTERS.get(text[0])
    return Diagnostic(Code.BAD_CHARACTER, f"`{shown}` has no meaning here", span, instead and f"write {instead}")


def foreign_operator(text: str, instead: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN, f"`{text}` is not an operator of the language", span, f"write `{instead}` instead"
    )


def bare_foreign_name(text: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_CHARACTER,
        f"the name `{text}` holds letters beyond A to Z",
        span,
        f"put the name in back-quotes: `{text}`",
    )


def unterminated_string(quote: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNTERMINATED_STRING,
        f"this string is never closed with {quote}",
        span,
        "close it, or look for a quote missing further up: a string may span lines",
    )


def unterminated_name(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNTERMINATED_STRING, "this name is never closed with a back-quote", span, "close it on the same line"
    )


def unterminated_multiline(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNTERMINATED_MULTILINE, 'this string is never closed with """', span, 'end it with three quotes: """'
    )


def unterminated_documentation(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNTERMINATED_COMMENT,
        "this documentation comment runs to the end of the text",
        span,
        "close it with `---`, or begin a line's comment with two hyphens only",
    )


def unterminated_comment(span: Span) -> Diagnostic:
    return Diagnostic(Code.UNTERMINATED_BLOCK, "this comment is never closed", span, "close it with `*/`")


def bad_number(text: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_NUMBER,
        f"`{_short(text)}` is not a number",
        span,
        "numbers are written `25_000`, `2.5`, `1e6`; durations `5m`, `1h30m` or `'5 minutes'`",
    )


def long_number(span: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_NUMBER, "this number has too many digits", span, "write it with an exponent: `1e400`")


def bad_prefix(prefix: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_INTERPOLATION,
        f"`{prefix}` is not a prefix of strings",
        span,
        "prefixes are `s` and `sql`; put a blank before the quote if no prefix is meant",
    )


def unclosed_hole(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNTERMINATED_STRING,
        "the expression in `${` is never closed",
        span,
        "close it with `}`, or write `\\${` for the characters themselves",
    )


# --- grammar --------------------------------------------------------------------------------------------------------


def describe(token: Token, text: str) -> str:
    """A token as a message names it; ``text`` is how it is written."""
    match token.kind:
        case T.END:
            return "the end of the text"
        case T.STRING | T.INTERPOLATION_OPEN | T.TEXT | T.INTERPOLATION_CLOSE:
            return "a string"
        case T.HOLE_CLOSE | T.HOLE_OPEN:
            return f"`{text}`"
        case T.DURATION:
            return f"the duration `{_short(text)}`"
        case _ if token.key or token.kind is T.QUOTED:
            return f"`{_short(text.strip('`'))}`"
        case _:
            return f"the number `{_short(text)}`"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def unexpected(
    token: Token, span: Span, expected: str, known: Iterable[str] = (), *, following: str = ""
) -> Diagnostic:
    """``known``: the words that could stand here; the nearest one is suggested. ``following``: the next token."""
    message = f"expected {expected}, found {describe(token, span.text)}"
    way_out = _way_out(token, known) if expected != "`=`" else "a header ends with `=`, then the body follows"
    if token.key == "from" and not expected.startswith(("an operator", "`=`")):
        way_out = None if expected != "`{`" else "put the query in braces: `{ from … }`"
    if token.key == "stage" and expected == "`{`":
        way_out = "the stages of a flow stand in braces: `flow name = { … }`"
    if token.key == "," and expected.startswith("a member"):
        way_out = "members stand one after the other, without commas"
    if way_out is None and token.is_word and expected.startswith(("an operator", "a property")):
        way_out = _MEANT.get((expected.partition(" ")[0], following), "").replace("{}", str(token.value)) or None
    return Diagnostic(Code.UNEXPECTED_TOKEN, message, span, way_out)


def end_behind_depends(token: Token, span: Span, name: str) -> Diagnostic:
    """``name``: the one in front of it."""
    message = f"`depends on` takes names and commas, found {describe(token, span.text)}"
    return Diagnostic(Code.UNEXPECTED_TOKEN, message, span, f"how it ended stands behind `if`: `if {name}.failed`")


def no_end(token: Token, span: Span, name: str) -> Diagnostic:
    message = f"expected `.`, found {describe(token, span.text)}"
    return Diagnostic(Code.UNEXPECTED_TOKEN, message, span, f"say how it ended: `{name}.failed`, or `{name}.done`")


def unclosed(closer: str, token: Token, span: Span, opened: Span) -> Diagnostic:
    found = unexpected(token, span, f"`{closer}`", (closer,))
    return found._replace(notes=(Note("opened here", opened),))


def _way_out(token: Token, known: Iterable[str]) -> str | None:
    if habit := _HABITS.get(token.key):
        return habit.replace("{}", token.key)
    if token.kind is not T.WORD or token.key in RESERVED:
        return None
    lower = token.key.lower()
    if lower != token.key and lower in RESERVED:
        return f"keywords are lower case: `{lower}`"
    near = nearest(token.key, known)
    return f"did you mean `{near}`?" if near and near != token.key else None


_OF_FLOWS = frozenset({"while", "route", "fork", "end", "activate"})
"""Operators that are words of flows alone, and may be names elsewhere."""


def missing_from(name: str, span: Span, meant: Iterable[str], *, called: bool) -> Diagnostic:
    """``meant``: what begins a query, where more than the name follows. ``called``: ``(`` follows."""
    near = nearest(name, meant)
    reading = f"to call an activity, write `call {name}(…)`" if called else f"to read it, write `from {name}`"
    if name in _OF_FLOWS:
        reading = f"begin with the rows that it works on: `from … | {name}…`"
    way_out = f"did you mean `{near}`?" if near else reading
    if near and near == name.lower():
        way_out = f"keywords are lower case: `{near}`"
    return Diagnostic(Code.UNEXPECTED_TOKEN, f"expected a query, found `{name}`", span, way_out)


def missing_source(operator: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        f"expected a query, found the operator `{operator}`",
        span,
        f"begin with what it works on: `from … {operator} …`",
    )


def comma_after_cte(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN, "a comma cannot follow a `with`", span, "begin the next one with `with` again"
    )


def unclosed_brace(span: Span) -> Diagnostic:
    return Diagnostic(Code.UNEXPECTED_TOKEN, "this brace is never closed", span, "close it with `}`")


def type_in_parentheses(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        "the arguments of a type stand in square brackets",
        span,
        f"write `{name}[…]`",
    )


def reserved_word(word: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        f"expected a name, found the reserved word `{word}`",
        span,
        "put it in back-quotes to use it as a name",
    )


def chained_comparison(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN, "comparisons do not chain", span, "join them with `and`, or put one in parentheses"
    )


def not_whole(what: str, span: Span) -> Diagnostic:
    return Diagnostic(Code.UNEXPECTED_TOKEN, f"{what} takes a whole number written out", span, "for example `10`")


def bad_duration(text: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_DURATION, f"the duration `{text}` is longer than a century", span, "write at most `5200w`"
    )


def blank_in_duration(text: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN, f"a duration has no blank in it: `{text}`", span, "or put it in quotes: `'5 minutes'`"
    )


def misplaced_duration(text: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_DURATION,
        f"a duration such as `{text}` cannot stand in a query's expression",
        span,
        "write an interval: `'5 minutes'::interval`",
    )


def misplaced_item(word: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED, f"a `{word}` stands inside a flow", span, "put it between the braces of `flow name = { … }`"
    )


def misplaced_definition(word: str, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED, f"`{word}` cannot be defined inside a flow", span, "close the flow with `}` before it"
    )


def repeated_part(part: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"`{part}` stands twice in one header",
        span,
        "put all of it into one",
        (Note("the first one is here", first),),
    )


def behind_last(last: Span, span: Span) -> Diagnostic:
    first = last.text.split(maxsplit=1)[0].partition("(")[0]
    return Diagnostic(
        Code.MISPLACED,
        f"nothing can stand behind `{first}`",
        span,
        "make what follows a stage of its own",
        (Note("this ends the body", last),),
    )


def behind_else(span: Span) -> Diagnostic:
    return Diagnostic(Code.MISPLACED, "`else` is the last case of a route", span, "move it to the end")


def bare_case(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        "a `case` expression in the condition of a route stands in parentheses",
        span,
        "write `case (case when … then …) -> stage`",
    )


def unknown_state(word: str, span: Span, known: Iterable[str]) -> Diagnostic:
    near = nearest(word, known)
    help_ = f"did you mean `{near}`?" if near else f"states are {', '.join(f'`{one}`' for one in known)}"
    return Diagnostic(Code.UNEXPECTED_TOKEN, f"there is no state `{word}`", span, help_)


def not_available(what: str, span: Span) -> Diagnostic:
    return Diagnostic(Code.NOT_AVAILABLE, f"`{what}` is not available yet", span)


def too_deep(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.TOO_DEEP,
        "this is nested too deeply",
        span,
        "give inner parts a name of their own: a `val`, a `model` or a stage; for many alternatives use `in (…)`",
    )


def too_many_operators(limit: int, span: Span) -> Diagnostic:
    return Diagnostic(
        Code.TOO_DEEP, f"more than {limit} operators follow one another", span, "split the query into models or stages"
    )


def string_as_source(span: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNEXPECTED_TOKEN,
        "an interpolated string is not a source",
        span,
        'write `sql"…"` for SQL, s`…` for a table\'s name, or a plain string for a file',
    )
