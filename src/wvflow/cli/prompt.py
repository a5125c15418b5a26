"""The prompt of ``wvflow repl``: several lines, history, completion, colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import completion_is_selected
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from wvflow import __version__
from wvflow.cli.shell import run_text
from wvflow.source import Source
from wvflow.syntax.lexer import tokenize
from wvflow.syntax.tokens import OPERATORS, RESERVED, T

if TYPE_CHECKING:
    from wvflow.cli.app import App
    from wvflow.service.shell import Shell

PROMPT, MORE = "wv> ", "  > "
_LEAVE = frozenset({"exit", "quit", "exit;", "quit;"})
_HELP = "A text runs when it ends with `;` or an empty line. Ctrl-C stops a query, Ctrl-D leaves. Tab completes."
_STYLE = Style.from_dict({"word": "ansiblue", "text": "ansigreen", "number": "ansicyan", "comment": "ansibrightblack"})
_COLOURS = {
    T.STRING: "class:text",
    T.TEXT: "class:text",
    T.INT: "class:number",
    T.DECIMAL: "class:number",
    T.EXP: "class:number",
    T.FLOAT: "class:number",
    T.DOUBLE: "class:number",
}


def prompt_loop(app: App, shell: Shell, **terminal: Any) -> None:
    """Read texts and run them until the end. ``terminal``: input and output, default those of the process."""
    session: PromptSession[str] = PromptSession(
        message=PROMPT,
        multiline=True,
        prompt_continuation=lambda width, line, wrapped: MORE,
        history=_history(shell),
        completer=ThreadedCompleter(Completions(shell)),
        complete_while_typing=False,
        key_bindings=_keys(),
        lexer=Colours(),
        style=_STYLE,
        **terminal,
    )
    app.say(f"wvflow {__version__}. {_HELP}")
    while True:
        try:
            text = session.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.strip() in _LEAVE:
            return
        if text.strip() in ("help", "help;", "?"):
            app.say(_HELP)
        elif text.strip():
            run_text(app, shell, text)


def _history(shell: Shell) -> History:
    """In the state folder, which only its owner can read; in memory where there is none to be had."""
    state = shell.workspace.project.state
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "history").touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(state / "history"))


def is_complete(text: str) -> bool:
    """Whether Enter runs a text: at its end stands a `;` or an empty line, and it is not within a string or bracket.

    >>> is_complete("from t"), is_complete("from t;"), is_complete("from t\\n"), is_complete("select ';")
    (False, True, True, False)
    """
    last = text.rstrip(" ").rpartition("\n")[2]
    if not text.strip() or (text.strip() in _LEAVE | {"help", "?"}):
        return True
    if last.strip() and not text.rstrip().endswith(";"):
        return False
    tokens, found, _ = tokenize(Source("", text))
    depth = sum((one.key in ("(", "[", "{")) - (one.key in (")", "]", "}")) for one in tokens)
    return depth <= 0 and not found


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected)
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    @keys.add("escape", "enter")
    def run(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys


class Completions(Completer):
    """Keywords, tables, columns, functions; behind a dot methods and columns."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        word = document.get_word_before_cursor()
        word = word if word.isidentifier() else ""
        before = document.text_before_cursor[: len(document.text_before_cursor) - len(word)].rstrip(" ")
        for name, kind in self._candidates(before):
            if name.startswith(word) and name != word:
                yield Completion(name, start_position=-len(word), display_meta=kind)

    def _candidates(self, before: str) -> Iterator[tuple[str, str]]:
        shell = self._shell
        sources: list[tuple[str, Callable[[], Iterable[str]]]] = [
            ("column", shell.columns),
            ("function", shell.functions),
        ]
        last = before.split()[-1] if before.split() else ""
        if last in ("from", "join", "concat", "describe", "in", "to"):
            sources = [("table", shell.tables)]
        elif not before.endswith("."):
            sources = [("keyword", _keywords), ("table", shell.tables), *sources]
        for kind, names in sources:
            yield from ((name, kind) for name in names())


def _keywords() -> list[str]:
    return sorted(RESERVED | OPERATORS)


class Colours(Lexer):
    """Words of the language, texts, numbers and comments, as the language's own lexer sees them."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        styles = _styles(document.text)
        lines = document.lines
        starts = [0]
        for text in lines:
            starts.append(starts[-1] + len(text) + 1)

        def line(number: int) -> StyleAndTextTuples:
            return [(styles.get(starts[number] + at, ""), char) for at, char in enumerate(lines[number])]

        return line


def _styles(text: str) -> dict[int, str]:
    """The style of each character that has one."""
    tokens, _, comments = tokenize(Source("", text))
    found: dict[int, str] = {}
    for token in tokens:
        style = _COLOURS.get(token.kind) or ("class:word" if token.key in RESERVED or token.key in OPERATORS else "")
        if style:
            found.update(dict.fromkeys(range(token.start, token.end), style))
    for comment in comments:
        found.update(dict.fromkeys(range(comment.start, comment.end), "class:comment"))
    return found
