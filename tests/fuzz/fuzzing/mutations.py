"""Changes of a text, each a function of the text and a source of chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from wvflow.source import Source
from wvflow.syntax import tokenize
from wvflow.syntax.tokens import OPENERS, OPERATORS, RESERVED, Token

Mutation = Callable[[str, Random], str]
WORDS = sorted(RESERVED | OPERATORS | {"flow", "stage", "activity", "signal", "query", "merge", "call", "wait", "a"})
SYMBOLS = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "::",
    "=",
    "|",
    ".",
    "->",
    "+",
    "-",
    "*",
    ";",
    "@",
    "==",
    "%",
    "!",
    "#",
    "<",
]
VALUES = ["1", "5m", "2.5", "1e3", "'x'", '"y"', '"""z"""', "`q`", 's"a${b}"', 'sql"${1}"', "s`t`", "_1", "25_000", "_"]
QUOTES = ["'", '"', '"""', "`", 's"', 's"${', "s`", 'sql"${', "}", "${", "$", "/*", "*/", "--", "---", "----"]
STRANGE = [
    "\0",
    "\ufeff",
    "\ud800",
    "\udfff",
    "\u2028",
    "\x85",
    "\r",
    "\r\n",
    "\f",
    "\t",
    "\xa0",
    "é",
    "東",
    "🦆",
    "\\",
]
BETWEEN = [
    " ",
    "\n",
    "\r\n",
    "\n\n\n",
    "  ",
    "\t",
    " ;",
    " -- c\n",
    "\n-- own\n",
    " /* c */ ",
    "/* a\n b */",
    "\n--- d ---\n",
]
OPENING = [
    "(",
    "[",
    "{",
    "{from ",
    "(a, ",
    "not ",
    "- ",
    "-",
    "f(",
    "x -> ",
    's"${',
    "if a then ",
    "case when ",
    "{a: ",
]
LINKS = [" + 1", " and a", ".b", "[1]", "::int", ", a", " | count", " = 1", " or not", "\nwhere a", ".f()", ";", "\n"]
LONG = ["a", "1", " ", "'", "_", "(", "--", "`", "$"]


def _place(text: str, random: Random) -> int:
    return random.randint(0, len(text))


def _inserted(text: str, part: str, random: Random) -> str:
    at = _place(text, random)
    return f"{text[:at]}{part}{text[at:]}"


def _stretch(text: str, random: Random, most: int = 60) -> tuple[int, int]:
    start = _place(text, random)
    return start, min(len(text), start + random.randint(0, most))


def _token(text: str, random: Random) -> Token:
    return random.choice(tokenize(Source("any.wv", text)).tokens)


def delete(text: str, random: Random) -> str:
    start, end = _stretch(text, random)
    return text[:start] + text[end:]


def delete_token(text: str, random: Random) -> str:
    token = _token(text, random)
    return text[: token.start] + text[token.end :]


def duplicate(text: str, random: Random) -> str:
    start, end = _stretch(text, random)
    return text[:end] + text[start:end] * random.choice((1, 1, 1, 20)) + text[end:]


def duplicate_token(text: str, random: Random) -> str:
    token = _token(text, random)
    return f"{text[: token.end]} {text[token.start : token.end]}{text[token.end :]}"


def swap_tokens(text: str, random: Random) -> str:
    one, two = sorted((_token(text, random), _token(text, random)), key=lambda token: token.start)
    if one.end > two.start:
        return text
    first, second = text[one.start : one.end], text[two.start : two.end]
    return text[: one.start] + second + text[one.end : two.start] + first + text[two.end :]


def change_character(text: str, random: Random) -> str:
    at = _place(text, random)
    return text[:at] + chr(random.choice((random.randrange(128), random.randrange(0x110000)))) + text[at + 1 :]


def change_byte(text: str, random: Random) -> str:
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    if raw:
        raw[random.randrange(len(raw))] = random.randrange(256)
    return raw.decode("utf-8", random.choice(("replace", "surrogateescape")))


def insert_token(text: str, random: Random) -> str:
    return _inserted(text, f" {random.choice(random.choice((WORDS, SYMBOLS, VALUES)))} ", random)


def insert_quote(text: str, random: Random) -> str:
    return _inserted(text, random.choice(QUOTES), random)


def insert_strange(text: str, random: Random) -> str:
    return _inserted(text, random.choice(STRANGE) * random.choice((1, 1, 3)), random)


def respace(text: str, random: Random) -> str:
    """Other blanks, or a comment, behind some tokens."""
    places = sorted({_token(text, random).end for _ in range(random.randint(1, 6))}, reverse=True)
    for at in places:
        text = f"{text[:at]}{random.choice(BETWEEN)}{text[at:]}"
    return text


def truncate(text: str, random: Random) -> str:
    return text[: _place(text, random)]


def nest(text: str, random: Random) -> str:
    opener = random.choice(
        ("(", "[", "{", "{from ", "(a, ", "not ", "- ", "f(", "x -> ", 's"${', "if a then ", "case when ")
    )
    times = random.choice((2, 10, 150, 250, 2_000))
    closers = "".join(OPENERS.get(one, "") for one in reversed(opener)) * times if random.random() < 0.5 else ""
    return _inserted(text, opener * times + closers, random)


def chain(text: str, random: Random) -> str:
    return _inserted(text, random.choice(LINKS) * random.choice((2, 190, 210, 2_000)), random)


def long_line(text: str, random: Random) -> str:
    return _inserted(text, random.choice(LONG) * 10_000, random)


MUTATIONS: Mapping[Mutation, int] = {
    delete: 8,
    delete_token: 12,
    duplicate: 6,
    duplicate_token: 8,
    swap_tokens: 8,
    change_character: 6,
    change_byte: 4,
    insert_token: 14,
    insert_quote: 8,
    insert_strange: 6,
    respace: 16,
    truncate: 4,
    nest: 2,
    chain: 2,
    long_line: 1,
}
"""How often each is made."""


def mutated(text: str, other: str, random: Random) -> str:
    """A text with one to three changes; now and then its beginning before the end of another."""
    if random.random() < 0.1:
        text = text[: _place(text, random)] + other[_place(other, random) :]
    for mutation in random.choices([*MUTATIONS], [*MUTATIONS.values()], k=random.choice((1, 1, 2, 3))):
        text = mutation(text, random)
    return text
