"""The project file: every wrong key or value is told with its key and file."""

from pathlib import Path

import msgspec
import pytest

from wvflow.errors import ConfigError
from wvflow.service.config import ProjectFile, find_config, read_config


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "wvflow.toml"
        path.write_text(text)
        return path

    return write


WRONG = [
    pytest.param("stat = 'x'", "no key `stat`", "`state`", id="unknown key"),
    pytest.param(
        "[limits]\nsource_fil = 1", "no key `limits.source_fil`", "`limits.source_file`", id="unknown inner key"
    ),
    pytest.param(
        "[profile.prod]\nengin = 'x'", "no key `profile.prod.engin`", "`profile.prod.engine`", id="in a profile"
    ),
    pytest.param("state = 3", "`state`: expected text, got a whole number", None, id="wrong type"),
    pytest.param("activities = 'a'", "`activities`: expected a list, got text", None, id="text for a list"),
    pytest.param(
        "[limits]\nstages = 'many'", "`limits.stages`: expected a whole number, got text", None, id="inner type"
    ),
    pytest.param("[limits]\nstages = 0", "`limits.stages`: expected a number above 0, got 0", None, id="zero limit"),
    pytest.param("[retention]\nolder_than = '5 parsecs'", "expected a duration such as '30d'", None, id="no duration"),
    pytest.param("[profile.a]\ndriver = 'x'", "`profile.a.driver`: expected embedded or temporal", None, id="driver"),
    pytest.param("state = ", "is not valid TOML", None, id="broken TOML"),
    pytest.param("state = '${env:WV_GONE}/x'", "`state` needs the environment variable", "WV_GONE=", id="variable"),
    pytest.param("[defaults]\na = ['${env:WV_GONE}']", "`defaults.a` needs the", "WV_GONE=", id="variable in a list"),
]


@pytest.mark.parametrize(("text", "message", "help"), WRONG)
def test_what_is_wrong_is_named_with_its_file(toml, text: str, message: str, help: str | None) -> None:
    path = toml(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path, {})
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert help is None or help in (caught.value.help or "")


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wvflow.toml"
    path.write_bytes(b"state = '\xff'")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_config(path)


def test_variables_are_put_into_any_text_and_may_stand_for_numbers(toml) -> None:
    path = toml("state = '${env:A}/${env:B}'\n[limits]\nstages = '${env:N}'\n[defaults]\ntags = ['${env:A}']")
    found = read_config(path, {"A": "x", "B": "y", "N": "7"})
    assert (found.state, found.limits.stages, found.defaults) == ("x/y", 7, {"tags": ["x"]})


def test_a_profile_needs_no_variables_of_another(toml) -> None:
    path = toml("[profile.default]\ndatabase = 'a'\n[profile.live]\ndatabase = '${env:LIVE}'\ndriver = '${env:D}'")
    assert read_config(path, {}).profile["default"].database == "a"
    assert read_config(path, {"LIVE": "b", "D": "embedded"}, "live").profile["live"].database == "b"
    with pytest.raises(ConfigError, match=r"`profile\.live\.database` needs the environment variable LIVE"):
        read_config(path, {}, "live")


def test_every_key_of_the_reference_is_accepted(toml) -> None:
    text = """
    state = ".wvflow"
    strict_sinks = false
    activities = ["activities"]
    [defaults]
    retries = 2
    [pools]
    api = 4
    [limits]
    source_file = 10
    [retention]
    keep_runs = 3
    older_than = "30d"
    [email]
    server = "smtp"
    from = "a@b"
    [profile.default.connectors.NAME]
    engine = "postgres"
    database = "postgresql:///db"
    [profile.default]
    engine = "duckdb"
    database = "warehouse.duckdb"
    [profile.prod]
    driver = "temporal"
    temporal = { address = "temporal:7233", namespace = "default", queue = "wvflow" }
    artifacts = "s3://bucket/wvflow"
    """
    found = read_config(toml(text), {})
    assert found.retention.older_than_ms == 30 * 86_400_000
    assert found.profile["prod"].temporal["queue"] == "wvflow"


def test_the_nearest_project_file_upwards_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "wvflow.toml").write_text("")
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert find_config(inner) == tmp_path / "wvflow.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.wvflow]\nstate = 's'\n")
    assert find_config(inner) == tmp_path / "a" / "pyproject.toml"
    assert read_config(tmp_path / "a" / "pyproject.toml").state == "s"


def test_an_empty_file_is_all_defaults(toml) -> None:
    assert msgspec.structs.asdict(read_config(toml(""), {})) == msgspec.structs.asdict(ProjectFile())
