"""Diagnostics: what is wrong with a program, where, and the way out.

Plain values. How they look on a terminal, in JSON or in an editor is the business of the edges. Constructors stand
beside their siblings (``syntax/mistakes.py``, ``semantics/mistakes.py``), one function per diagnostic.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Literal, NamedTuple

from wvflow.source import Span

Severity = Literal["error", "warning"]


class Code(Enum):
    """Stable codes: ``(number, class, severity)``. Never renumbered, never reused.

    The class is that of the query language's reference, section 14.
    """

    # text and tokens
    UNEXPECTED_TOKEN = ("WV0101", "SYNTAX_ERROR", "error")
    BAD_CHARACTER = ("WV0102", "UNEXPECTED_TOKEN", "error")
    UNTERMINATED_STRING = ("WV0103", "UNEXPECTED_TOKEN", "error")
    UNTERMINATED_MULTILINE = ("WV0104", "UNCLOSED_MULTILINE_LITERAL", "error")
    BAD_NUMBER = ("WV0105", "UNEXPECTED_TOKEN", "error")
    BAD_DURATION = ("WV0106", "SYNTAX_ERROR", "error")
    TOO_DEEP = ("WV0107", "SYNTAX_ERROR", "error")
    UNTERMINATED_COMMENT = ("WV0108", "SYNTAX_ERROR", "warning")
    BAD_INTERPOLATION = ("WV0109", "SYNTAX_ERROR", "error")
    FILE_EMPTY = ("WV0110", "SYNTAX_ERROR", "error")
    FILE_BINARY = ("WV0111", "SYNTAX_ERROR", "error")
    FILE_NOT_UTF8 = ("WV0112", "SYNTAX_ERROR", "error")
    FILE_TOO_LARGE = ("WV0113", "RESOURCE_EXHAUSTED", "error")
    FILE_MISSING = ("WV0114", "FILE_NOT_FOUND", "error")
    FILE_UNREADABLE = ("WV0115", "FILE_NOT_FOUND", "error")
    MISPLACED = ("WV0116", "SYNTAX_ERROR", "error")
    UNTERMINATED_BLOCK = ("WV0117", "UNEXPECTED_TOKEN", "error")
    UNKNOWN_SHOW = ("WV0118", "SYNTAX_ERROR", "error")
    BAD_VERSION = ("WV0119", "SYNTAX_ERROR", "error")
    NOT_AVAILABLE = ("WV0190", "NOT_IMPLEMENTED", "error")
    NOT_IMPLEMENTED = ("WV0191", "NOT_IMPLEMENTED", "error")
    # names
    UNKNOWN_STAGE = ("WV0201", "STAGE_NOT_FOUND", "error")
    UNKNOWN_FLOW = ("WV0202", "FLOW_NOT_FOUND", "error")
    UNKNOWN_ACTIVITY = ("WV0203", "INVALID_ARGUMENT", "error")
    UNKNOWN_TABLE = ("WV0204", "TABLE_NOT_FOUND", "warning")
    UNKNOWN_COLUMN = ("WV0205", "COLUMN_NOT_FOUND", "error")
    UNKNOWN_NAME = ("WV0206", "COLUMN_NOT_FOUND", "error")
    DUPLICATE_NAME = ("WV0207", "SYNTAX_ERROR", "error")
    DUPLICATE_DEFINITION = ("WV0208", "SYNTAX_ERROR", "warning")
    DUPLICATE_COLUMN = ("WV0209", "SYNTAX_ERROR", "error")
    NAME_HIDES_COLUMN = ("WV0210", "TYPE_ERROR", "warning")
    DATA_FILE_MISSING = ("WV0211", "FILE_NOT_FOUND", "warning")
    NOT_A_RELATION = ("WV0212", "NOT_A_RELATION", "error")
    STAGE_WANTED = ("WV0213", "STAGE_NOT_FOUND", "error")
    UNKNOWN_TYPE = ("WV0214", "TYPE_ERROR", "error")
    RECURSIVE_MODEL = ("WV0215", "RECURSIVE_MODEL_REFERENCE", "error")
    EXPANSION_TOO_DEEP = ("WV0216", "MODEL_EXPANSION_LIMIT_EXCEEDED", "error")
    UNUSABLE_MODEL = ("WV0217", "NOT_A_RELATION", "warning")
    RECURSIVE_FUNCTION = ("WV0218", "RECURSIVE_FUNCTION_REFERENCE", "error")
    RECURSIVE_PARTIAL_QUERY = ("WV0219", "RECURSIVE_PARTIAL_QUERY_REFERENCE", "error")
    INLINED_TOO_DEEP = ("WV0220", "INLINE_EXPANSION_LIMIT_EXCEEDED", "error")
    UNKNOWN_PARTIAL_QUERY = ("WV0221", "PARTIAL_QUERY_NOT_FOUND", "error")
    PARTIAL_QUERY_BODY = ("WV0222", "PARTIAL_QUERY_INVALID_BODY", "error")
    MISSING_TABLE = ("WV0223", "TABLE_NOT_FOUND", "error")
    MISSING_FILE = ("WV0224", "FILE_NOT_FOUND", "error")
    UNKNOWN_SHOWN_MODEL = ("WV0225", "NOT_A_RELATION", "warning")
    MISSING_SCHEMA = ("WV0226", "SCHEMA_NOT_FOUND", "error")
    MISSING_CATALOG = ("WV0227", "CATALOG_NOT_FOUND", "error")
    PARTIAL_QUERY_COLUMN = ("WV0228", "PARTIAL_QUERY_COLUMN_MISSING", "error")
    DUPLICATE_TYPE = ("WV0229", "DUPLICATE_TYPE", "warning")
    UNKNOWN_SIGNAL = ("WV0230", "NOT_FOUND", "error")
    UNKNOWN_VARIABLE = ("WV0231", "NOT_FOUND", "error")
    NO_ACTION = ("WV0232", "SYNTAX_ERROR", "error")
    STATE_MISPLACED = ("WV0233", "INVALID_ARGUMENT", "error")
    # types and arguments
    TYPE_MISMATCH = ("WV0301", "TYPE_ERROR", "warning")
    BAD_ARGUMENT = ("WV0302", "INVALID_ARGUMENT", "error")
    MISSING_ARGUMENT = ("WV0303", "INVALID_ARGUMENT", "error")
    UNKNOWN_ARGUMENT = ("WV0304", "INVALID_ARGUMENT", "error")
    DUPLICATE_ARGUMENT = ("WV0305", "INVALID_ARGUMENT", "error")
    RAGGED_ROWS = ("WV0306", "SYNTAX_ERROR", "error")
    BAD_GROUPING = ("WV0307", "SYNTAX_ERROR", "error")
    NEEDS_ROWS = ("WV0308", "SYNTAX_ERROR", "error")
    BARE_UNDERSCORE = ("WV0309", "SYNTAX_ERROR", "error")
    UNSUPPORTED_TEST = ("WV0310", "TYPE_ERROR", "warning")
    BAD_UPDATE = ("WV0311", "SYNTAX_ERROR", "error")
    FUNCTION_ARGUMENTS = ("WV0312", "SYNTAX_ERROR", "error")
    UNCLEAR_TEST = ("WV0313", "TYPE_ERROR", "error")
    WALL_CLOCK = ("WV0314", "INVALID_ARGUMENT", "warning")
    NOT_SAID_THERE = ("WV0315", "NOT_IMPLEMENTED", "error")
    HANDLER_NEEDS_ROWS = ("WV0316", "INVALID_ARGUMENT", "error")
    MIXED_WAIT = ("WV0317", "INVALID_ARGUMENT", "error")
    # properties
    UNKNOWN_PROPERTY = ("WV0401", "INVALID_ARGUMENT", "error")
    MISTYPED_PROPERTY = ("WV0402", "INVALID_ARGUMENT", "error")
    MISPLACED_PROPERTY = ("WV0403", "INVALID_ARGUMENT", "error")
    DUPLICATE_PROPERTY = ("WV0404", "INVALID_ARGUMENT", "error")
    CACHE_WITHOUT_EFFECT = ("WV0405", "INVALID_ARGUMENT", "warning")
    UNKNOWN_POOL = ("WV0406", "INVALID_ARGUMENT", "error")
    OTHER_COLUMNS = ("WV0407", "TYPE_ERROR", "error")
    TIMEOUT_NEVER_REACHED = ("WV0408", "INVALID_ARGUMENT", "warning")
    HEARTBEAT_NEVER_SENT = ("WV0409", "INVALID_ARGUMENT", "warning")
    WITHOUT_MAP = ("WV0410", "INVALID_ARGUMENT", "error")
    BAD_MAP = ("WV0411", "INVALID_ARGUMENT", "error")
    BAD_KEY = ("WV0415", "INVALID_ARGUMENT", "error")
    KEY_OF_REPLACED = ("WV0416", "INVALID_ARGUMENT", "error")
    KEY_WITHOUT_USE = ("WV0417", "INVALID_ARGUMENT", "warning")
    LONELY_COMPENSATE_ON = ("WV0412", "INVALID_ARGUMENT", "error")
    BAD_COMPENSATION = ("WV0413", "INVALID_ARGUMENT", "error")
    MISPLACED_IN_COMPENSATION = ("WV0414", "INVALID_ARGUMENT", "error")
    EMPTY_LOOP = ("WV0418", "INVALID_ARGUMENT", "error")
    LOOP_COLUMNS = ("WV0419", "INVALID_ARGUMENT", "error")
    # the graph
    CYCLE = ("WV0501", "CYCLIC_SYMBOL_REFERENCE", "error")
    TOO_MANY_STAGES = ("WV0502", "RESOURCE_EXHAUSTED", "error")
    EMPTY_FLOW = ("WV0503", "SYNTAX_ERROR", "error")
    BAD_MERGE = ("WV0504", "INVALID_ARGUMENT", "error")
    UNREAD_STAGE = ("WV0505", "INVALID_ARGUMENT", "warning")
    TRIGGER_CONFLICT = ("WV0506", "INVALID_ARGUMENT", "error")
    TRIGGER_WITHOUT_EFFECT = ("WV0507", "INVALID_ARGUMENT", "error")
    BAD_ROUTE = ("WV0508", "INVALID_ARGUMENT", "error")
    SHADOWED_CASE = ("WV0509", "INVALID_ARGUMENT", "warning")
    READS_AN_END = ("WV0510", "INVALID_ARGUMENT", "error")
    MISPLACED_VALUE = ("WV0511", "INVALID_ARGUMENT", "error")
    WAIT_WITHOUT_TIMEOUT = ("WV0512", "INVALID_ARGUMENT", "warning")
    UNCHANGING_WAIT = ("WV0513", "INVALID_ARGUMENT", "warning")
    UNREACHABLE_STAGE = ("WV0514", "INVALID_ARGUMENT", "warning")
    FALLBACK_NEVER_RUNS = ("WV0515", "INVALID_ARGUMENT", "warning")
    BAD_VIEW = ("WV0516", "INVALID_ARGUMENT", "error")
    UNHEARD_SIGNAL = ("WV0520", "INVALID_ARGUMENT", "warning")
    NEVER_SET = ("WV0521", "INVALID_ARGUMENT", "warning")
    RETRIES_WITHOUT_KEY = ("WV0540", "INVALID_ARGUMENT", "warning")
    RECORDED_VERSION = ("WV0550", "FLOW_NOT_FOUND", "warning")
    CHANGED_VERSION = ("WV0551", "INVALID_ARGUMENT", "warning")
    BAD_SCHEDULE = ("WV0580", "INVALID_ARGUMENT", "error")
    BAD_CONCURRENCY = ("WV0582", "INVALID_ARGUMENT", "error")
    COINCIDING_ENTRIES = ("WV0583", "INVALID_ARGUMENT", "warning")
    BAD_DEPENDENCY = ("WV0590", "INVALID_ARGUMENT", "error")
    UNREADABLE_UPSTREAM = ("WV0592", "INVALID_ARGUMENT", "error")
    FLOW_NOT_NAMED = ("WV0593", "INVALID_ARGUMENT", "error")
    STARTED_BY_FLOWS = ("WV0595", "INVALID_ARGUMENT", "warning")
    NEVER_TOGETHER = ("WV0596", "INVALID_ARGUMENT", "warning")
    STARTED_BEFORE_END = ("WV0594", "INVALID_ARGUMENT", "warning")
    READS_COMPENSATION = ("WV0530", "INVALID_ARGUMENT", "error")
    NO_UNDO = ("WV0531", "INVALID_ARGUMENT", "warning")
    NOTHING_TO_UNDO = ("WV0532", "INVALID_ARGUMENT", "warning")
    UNDOES_NOTHING = ("WV0533", "INVALID_ARGUMENT", "warning")
    CHILD_UNDOES_ITSELF = ("WV0534", "INVALID_ARGUMENT", "warning")
    UNCHANGING_LOOP = ("WV0560", "INVALID_ARGUMENT", "warning")
    # activities
    ACTIVITY_IMPORT = ("WV0701", "INVALID_ARGUMENT", "error")
    ACTIVITY_UNDEFINED = ("WV0702", "INVALID_ARGUMENT", "error")
    UNKNOWN_SINK = ("WV0703", "INVALID_ARGUMENT", "warning")

    def __init__(self, number: str, kind: str, severity: Severity) -> None:
        self.number = number
        self.kind = kind
        self.severity = severity


class Note(NamedTuple):
    """Another place that has to do with a diagnostic, or (with no place) a remark."""

    message: str
    span: Span | None = None


class Diagnostic(NamedTuple):
    """One finding. ``message`` is one clause in the language's words, ``help`` the way out."""

    code: Code
    message: str
    span: Span
    help: str | None = None
    notes: tuple[Note, ...] = ()

    @property
    def severity(self) -> Severity:
        return self.code.severity

    @property
    def is_error(self) -> bool:
        return self.code.severity == "error"


def has_errors(found: Iterable[Diagnostic]) -> bool:
    return any(one.is_error for one in found)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was most likely meant to be, if one is near enough."""
    from difflib import get_close_matches

    spellings = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), spellings, n=1, cutoff=0.6)
    return spellings[matches[0]] if matches else None
