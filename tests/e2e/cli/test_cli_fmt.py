"""``wvflow fmt`` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Call = Callable[..., "CompletedProcess[str]"]

UGLY = "from   [[1]] as t(x)\nwhere x>0"
PRETTY = "from [[1]] as t(x)\nwhere x > 0\n"


def test_files_are_put_into_form_and_broken_ones_left_alone(project: Path, wvflow: Call) -> None:
    (project / "ugly.wv").write_text(UGLY)
    (project / "broken.wv").write_text("from (")
    result = wvflow("fmt", "ugly.wv", "broken.wv", status=1)
    assert "formatted ugly.wv" in result.stdout
    assert "broken.wv:1:6" in result.stderr
    assert (project / "ugly.wv").read_text() == PRETTY
    assert (project / "broken.wv").read_text() == "from ("


def test_check_and_diff_write_nothing(project: Path, wvflow: Call) -> None:
    (project / "ugly.wv").write_text(UGLY)
    assert "would format ugly.wv" in wvflow("fmt", "--check", "ugly.wv", status=1).stdout
    assert "+where x > 0" in wvflow("fmt", "--diff", "ugly.wv").stdout
    assert json.loads(wvflow("fmt", "--check", "--json", "ugly.wv", status=1).stdout)["changed"] == ["ugly.wv"]
    assert (project / "ugly.wv").read_text() == UGLY


def test_rights_line_ends_and_byte_order_mark_stay(project: Path, wvflow: Call) -> None:
    file = project / "windows.wv"
    file.write_bytes(b"\xef\xbb\xbffrom   [[1]] as t(x)\r\nwhere x>0\r\n")
    file.chmod(0o640)
    wvflow("fmt", "windows.wv")
    assert file.read_bytes() == b"\xef\xbb\xbffrom [[1]] as t(x)\r\nwhere x > 0\r\n"
    assert file.stat().st_mode & 0o777 == 0o640


def test_standard_input_goes_to_standard_output(project: Path, wvflow: Call) -> None:
    assert wvflow("fmt", "-", input=UGLY).stdout == PRETTY


def test_standard_input_is_checked_and_compared_like_a_file(project: Path, wvflow: Call) -> None:
    assert "would format <stdin>" in wvflow("fmt", "-", "--check", input=UGLY, status=1).stdout
    assert wvflow("fmt", "-", "--check", input=PRETTY).stdout == ""
    assert "+where x > 0" in wvflow("fmt", "-", "--diff", input=UGLY).stdout
    assert json.loads(wvflow("fmt", "-", "--json", input=UGLY).stdout)["changed"] == ["<stdin>"]


def test_standard_input_with_errors_gives_no_text(project: Path, wvflow: Call) -> None:
    result = wvflow("fmt", "-", input="from (", status=1)
    assert result.stdout == ""
    assert "<stdin>:1:6" in result.stderr


def test_a_folder_is_all_its_programs_and_a_missing_one_changes_none(project: Path, wvflow: Call) -> None:
    (project / "sub").mkdir()
    for name in ("a.wv", "sub/b.wv"):
        (project / name).write_text(UGLY)
    (project / "sub" / "c.txt").write_text(UGLY)
    wvflow("fmt", "a.wv", "missing.wv", status=2)
    assert (project / "a.wv").read_text() == UGLY
    assert "formatted sub/b.wv" in wvflow("fmt", "sub").stdout
    assert (project / "a.wv").read_text() == UGLY
    assert (project / "sub" / "b.wv").read_text() == PRETTY
    assert (project / "sub" / "c.txt").read_text() == UGLY


def test_a_link_to_a_program_stays_a_link(project: Path, wvflow: Call) -> None:
    (project / "real.txt").write_text(UGLY)
    (project / "link.wv").symlink_to("real.txt")
    wvflow("fmt", "link.wv")
    assert (project / "link.wv").is_symlink()
    assert (project / "real.txt").read_text() == PRETTY
