"""What the engine and the operating system say, as kinds of errors and the classes of the language (query reference,
section 14)."""

from __future__ import annotations

import errno

import duckdb
import pytest

from wvflow.data.failures import translated
from wvflow.errors import TaskError
from wvflow.service.statements import StatementFailed
from wvflow.source import Source, Span

PLACE = Span(Source("q.wv", "from t"), 0, 6)


@pytest.mark.parametrize(
    ("said", "kind", "class_"),
    [
        ('Catalog Error: Table with name t does not exist!\nDid you mean "u"?', "TableNotFound", "TABLE_NOT_FOUND"),
        (
            'Catalog Error: Table with name "s.t" does not exist because schema "s" does not exist.',
            "SchemaNotFound",
            "SCHEMA_NOT_FOUND",
        ),
        (
            'Catalog Error: Table with name "c.s.t" does not exist because schema "c.s" does not exist.',
            "CatalogNotFound",
            "CATALOG_NOT_FOUND",
        ),
        ("Catalog Error: Schema with name s does not exist!", "SchemaNotFound", "SCHEMA_NOT_FOUND"),
        ('Binder Error: Catalog "c" does not exist!', "CatalogNotFound", "CATALOG_NOT_FOUND"),
        ('Binder Error: Referenced column "a" not found in FROM clause!', "ColumnNotFound", "COLUMN_NOT_FOUND"),
        ('IO Error: No files found that match the pattern "a.csv"', "FileNotFound", "FILE_NOT_FOUND"),
        ('IO Error: Cannot open file "/a/b.csv": No such file or directory', "FileNotFound", "FILE_NOT_FOUND"),
        ('IO Error: Cannot open file "/a/b.csv": Permission denied', "PermissionDenied", "PERMISSION_DENIED"),
        ("Permission Error: file system LocalFileSystem is disabled", "PermissionDenied", "PERMISSION_DENIED"),
        ("HTTP Error: HTTP GET error on 'https://x/a.csv' (HTTP 403)", "PermissionDenied", "PERMISSION_DENIED"),
        ("HTTP Error: HTTP GET error on 'https://x/a.csv' (HTTP 401)", "Unauthenticated", "UNAUTHENTICATED"),
        ("IO Error: Timeout was reached error for HTTP HEAD to 'https://x/'", "TimedOut", "OPERATION_TIMED_OUT"),
        ("Out of Memory Error: failed to allocate 2.0 GiB", "OutOfMemory", "RESOURCE_EXHAUSTED"),
        ("INTERRUPT Error: Interrupted!", "Interrupted", "OPERATION_TIMED_OUT"),
        ("Not implemented Error: ORDER BY in this place", "NotImplemented", "NOT_IMPLEMENTED"),
        ("INTERNAL Error: Attempted to access index 3", "EngineBroken", "INTERNAL_ERROR"),
        ('Parser Error: syntax error at or near "x"', "QueryError", "SYNTAX_ERROR"),
        ("Conversion Error: Could not convert string 'x' to INT32", "QueryError", "QUERY_EXECUTION_FAILURE"),
        ("Invalid Input Error: permission denied, says the data", "QueryError", "QUERY_EXECUTION_FAILURE"),
        ("Constraint Error: NOT NULL constraint failed: t.a", "QueryError", "QUERY_EXECUTION_FAILURE"),
    ],
)
def test_an_error_of_the_engine_has_a_kind_and_a_class(said: str, kind: str, class_: str) -> None:
    with pytest.raises(TaskError) as caught, translated():
        raise duckdb.Error(said)
    assert (caught.value.kind, StatementFailed(PLACE, caught.value, "").kind) == (kind, class_)


@pytest.mark.parametrize(
    ("number", "kind", "class_"),
    [
        (errno.EACCES, "PermissionDenied", "PERMISSION_DENIED"),
        (errno.EROFS, "PermissionDenied", "PERMISSION_DENIED"),
        (errno.EISDIR, "SaveFailed", "QUERY_EXECUTION_FAILURE"),
    ],
)
def test_an_error_of_the_system_has_a_kind_and_a_class(number: int, kind: str, class_: str) -> None:
    with pytest.raises(TaskError) as caught, translated():
        raise OSError(number, "it says", "/a/b.csv")
    assert (caught.value.kind, StatementFailed(PLACE, caught.value, "").kind) == (kind, class_)
