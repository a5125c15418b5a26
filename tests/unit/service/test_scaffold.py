from pathlib import Path

import pytest

from wvflow.errors import NotPossible
from wvflow.service.scaffold import FILES, write_project


def test_all_files_are_written_into_a_new_folder(tmp_path: Path) -> None:
    written = write_project(tmp_path / "new")
    assert {str(path.relative_to(tmp_path / "new")) for path in written} == set(FILES)
    assert all(path.is_file() for path in written)


def test_nothing_is_overwritten_nor_anything_written_beside(tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text("mine")
    with pytest.raises(NotPossible, match=r"activities\.py exists already"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["activities.py"]
