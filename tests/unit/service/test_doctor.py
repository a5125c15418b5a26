"""Doctor: each finding from a world of its own."""

from pathlib import Path

import pytest

from wvflow.errors import ConfigError
from wvflow.service import doctor
from wvflow.service.project import Project, load_project

MOUNTS = """\
41 22 0:31 / /srv/share/local\\040disk rw - xfs /dev/sdb rw
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:30 / /srv/share rw,relatime - nfs4 server:/share rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/a", "ext4"), ("/srv/share/x", "nfs4"), ("/srv/share/local disk/x", "xfs"), ("/srv/shared", "ext4")],
)
def test_the_file_system_is_that_of_the_longest_mount_point(folder: str, kind: str) -> None:
    assert doctor.file_system(Path(folder), MOUNTS) == kind


def test_a_state_folder_on_a_network_file_system_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "file_system", lambda folder: "nfs4")
    found = _by_name(load_project(tmp_path))["file system"]
    assert (found.level, "local disk" in (found.help or "")) == ("warning", True)


def test_a_slow_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "fsync_ms", lambda folder: 45.0)
    assert _by_name(load_project(tmp_path))["fsync"].level == "warning"


def test_a_warehouse_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "wvflow.toml").write_text("[profile.default]\ndatabase = 'w.db'")
    (tmp_path / "w.db").write_text("this is a text file, long enough to be looked at as a database header" * 100)
    assert _by_name(load_project(tmp_path))["warehouse"].level == "error"


def test_a_wrong_configuration_is_a_finding_and_no_exception() -> None:
    def load() -> Project:
        raise ConfigError("wvflow.toml: no", help="mend it")

    last = list(doctor.examine(load))[-1]
    assert (last.name, last.level, last.help) == ("configuration", "error", "mend it")


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    list(doctor.examine(lambda: load_project(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "level"), [("", "ok"), ("import os\nos._exit(4)\n", "error")])
def test_processes_for_activities_are_tried(tmp_path: Path, module: str, level: str) -> None:
    (tmp_path / "activities.py").write_text(module)
    assert _by_name(load_project(tmp_path))["isolation"].level == level


def test_an_older_sqlite_is_told_with_its_race() -> None:
    assert "checkpoint race" in doctor._sqlite((3, 40, 1)).value
    assert doctor._sqlite((3, 51, 3)).value == "3.51.3"


def test_keys_without_effect_are_warned_about(tmp_path: Path) -> None:
    (tmp_path / "wvflow.toml").write_text("[limits]\nsignal_payload = 3")
    assert _by_name(load_project(tmp_path))["key limits.signal_payload"].level == "warning"


def _by_name(project: Project) -> dict[str, doctor.Finding]:
    return {one.name: one for one in doctor.examine(lambda: project)}
