"""Reading a file: whatever is in it, there is a source or a diagnostic, never an exception."""

from pathlib import Path

import pytest

from wvflow.service.program import read_source

FILES = [
    pytest.param(None, "WV0114", "there is no such file", id="missing"),
    pytest.param(b"", "WV0110", "the file is empty", id="empty"),
    pytest.param(b" \n\t\n", "WV0110", "the file is empty", id="blank"),
    pytest.param(b"\xef\xbb\xbf", "WV0110", "the file is empty", id="only a byte order mark"),
    pytest.param(b"PK\x03\x00\x00", "WV0111", "byte 3 is zero", id="binary"),
    pytest.param("flow\n× = 1".encode("latin-1"), "WV0112", "byte 5 (line 2) is 0xd7", id="Latin-1"),
    pytest.param(b"-- " + b"x" * 100, "WV0113", "103 bytes, more than the limit of 100", id="too large"),
]


@pytest.mark.parametrize(("data", "code", "message"), FILES)
def test_an_unusable_file_is_a_diagnostic(tmp_path: Path, data: bytes | None, code: str, message: str) -> None:
    path = tmp_path / "a.wv"
    if data is not None:
        path.write_bytes(data)
    source, found = read_source(path, "a.wv", limit=100)
    assert found is not None
    assert (found.code.number, source.text) == (code, "")
    assert message in found.message


def test_of_a_missing_file_one_with_a_name_like_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "sales.wv").touch()
    _, found = read_source(tmp_path / "sale.wv", "sale.wv", limit=100)
    assert found is not None
    assert found.help == "did you mean `sales.wv`?"


def test_a_folder_in_place_of_a_file_is_a_diagnostic(tmp_path: Path) -> None:
    _, found = read_source(tmp_path, "a.wv", limit=100)
    assert found is not None
    assert (found.code.number, found.message) == ("WV0115", "the file can't be read: Is a directory")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("select 1 -- ×\n".encode(), "select 1 -- ×\n", id="UTF-8"),
        pytest.param(b"\xef\xbb\xbfselect 1", "select 1", id="the byte order mark is no part of the text"),
        pytest.param(b"x" * 100, "x" * 100, id="as large as the limit"),
    ],
)
def test_a_usable_file_is_its_text(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "a.wv"
    path.write_bytes(data)
    source, found = read_source(path, "a.wv", limit=100)
    assert (source.text, found) == (text, None)
