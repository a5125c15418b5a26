"""A project: its root, its files, its profile."""

from pathlib import Path

import pytest

from wvflow.errors import ConfigError
from wvflow.service.project import load_project


@pytest.fixture
def tree(tmp_path: Path):
    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("given", "root"),
    [
        pytest.param("flows/a.wv", "flows", id="a file's own folder"),
        pytest.param("flows", "flows", id="the folder given"),
        pytest.param("flows/gone.wv", "flows", id="a file that isn't there"),
    ],
)
def test_without_a_project_file_the_root_is(tree, given: str, root: str) -> None:
    base = tree({"flows/a.wv": ""})
    project = load_project(base / given)
    assert project.root == base / root
    assert project.state == base / root / ".wvflow"
    assert project.database == base / root / ".wvflow" / "warehouse.duckdb"


def test_the_project_files_folder_is_the_root(tree) -> None:
    base = tree({"wvflow.toml": "state = 'st'\n[profile.default]\ndatabase = 'w.db'", "flows/deep/a.wv": ""})
    project = load_project(base / "flows" / "deep" / "a.wv")
    assert (project.root, project.state, project.database) == (base, base / "st", base / "w.db")


def test_files_below_the_root_are_the_program_but_not_those_of_hidden_or_state_folders(tree) -> None:
    base = tree(
        {
            "wvflow.toml": "state = 'state'",
            "a.wv": "",
            "sub/b.wv": "",
            ".hidden/c.wv": "",
            "state/d.wv": "",
            "env/pyvenv.cfg": "",
            "env/e.wv": "",
            "node_modules/f.wv": "",
            "sub/g.sql": "",
        }
    )
    assert load_project(base).files == (base / "a.wv", base / "sub" / "b.wv")


def test_activity_modules_stand_beside_the_programs(tree) -> None:
    base = tree({"a.wv": "", "activities.py": "", "x/b.wv": "", "x/activities/__init__.py": "", "y/activities.py": ""})
    assert load_project(base).activities == ("activities", "x.activities")


def test_modules_that_the_file_names_replace_those(tree) -> None:
    base = tree({"wvflow.toml": "activities = ['jobs']", "a.wv": "", "activities.py": ""})
    assert load_project(base).activities == ("jobs",)


PROFILES = "[profile.default]\ndatabase = 'd.db'\n[profile.test]\ndatabase = 't.db'\n"


def test_a_profile_is_chosen_by_option_then_by_environment(tree, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tree({"wvflow.toml": PROFILES})
    monkeypatch.delenv("WVFLOW_PROFILE", raising=False)
    assert load_project(base).database == base / "d.db"
    monkeypatch.setenv("WVFLOW_PROFILE", "test")
    assert load_project(base).database == base / "t.db"
    assert load_project(base, profile="default").database == base / "d.db"


@pytest.mark.parametrize(
    ("text", "profile", "message", "help"),
    [
        pytest.param(PROFILES, "tset", "there is no profile `tset`", "`test`", id="misspelt"),
        pytest.param("", "prod", "there is no profile `prod`", "[profile.prod]", id="unknown"),
        pytest.param("[profile.prod]\ndriver='temporal'", "prod", "temporal isn't available", "embedded", id="driver"),
        pytest.param("[profile.pg]\nengine='postgres'", "pg", "engine postgres isn't available", "duckdb", id="engine"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(tree, text: str, profile: str, message: str, help: str) -> None:
    base = tree({"wvflow.toml": text})
    with pytest.raises(ConfigError) as caught:
        load_project(base, profile=profile)
    assert message in caught.value.message
    assert help in (caught.value.help or "")


def test_a_connector_has_an_engine_that_there_is(tree) -> None:
    text = "[profile.default.connectors.x]\nengine = 'oracle'\ndatabase = 'y'"
    with pytest.raises(ConfigError, match="the engine oracle isn't available"):
        load_project(tree({"wvflow.toml": text}))


def test_keys_of_later_versions_are_named_as_without_effect(tree) -> None:
    text = "[limits]\nsignal_payload = 3\n[profile.default]\nartifacts = 's3://x'"
    project = load_project(tree({"wvflow.toml": text}))
    assert project.without_effect == ("limits.signal_payload", "profile.default.artifacts")
