"""The project file: ``wvflow.toml``, or ``[tool.wvflow]`` in ``pyproject.toml`` (interfaces, section 3).

The structs below are the list of keys; what they don't name is refused with the nearest that they do.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from wvflow.diagnostics import nearest
from wvflow.errors import ConfigError
from wvflow.lang.durations import parse_duration

DEFAULT_PROFILE = "default"
MIB = 1 << 20
_TYPES = {"str": "text", "int": "a whole number", "bool": "true or false", "array": "a list", "object": "a table"}
_ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")
_VALIDATION = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that a project may raise (execution, section 6): ``source_file`` in bytes, ``stages`` of a flow,
    ``events`` of a run; ``depth``: how many runs may follow from each other; ``scalar_rows``: of how many rows the
    first may stand for one value."""

    source_file: int = 10 * MIB
    stages: int = 100_000
    events: int = 1_000_000
    depth: int = 100
    scalar_rows: int = 1
    signal_payload: int = MIB


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are kept of flows that don't say it themselves: the newest of each flow, those younger than a
    duration. Others go when a run of the flow ends, and by ``runs clean``."""

    keep_runs: int | None = None
    older_than: str | None = None

    @property
    def older_than_ms(self) -> int | None:
        return parse_duration(self.older_than) if self.older_than else None


class Email(msgspec.Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    server: str = ""
    sender: str = ""


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One ``[profile.NAME.connectors.NAME]``: another engine, for ``stage x on NAME``. ``database``: of DuckDB a file,
    relative to the project; of PostgreSQL its address."""

    engine: str
    database: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One ``[profile.NAME]``: where the flows of a project run."""

    engine: str = "duckdb"
    database: str | None = None
    driver: str = "embedded"
    temporal: dict[str, str] = {}
    artifacts: str = ""
    connectors: dict[str, Connector] = {}


class ProjectFile(msgspec.Struct, frozen=True, kw_only=True):
    """All keys of a project file, with their defaults."""

    state: str = ".wvflow"
    strict_sinks: bool = False
    activities: list[str] | None = None
    defaults: dict[str, Any] = {}
    pools: dict[str, int] = {}
    limits: Limits = Limits()
    retention: Retention = Retention()
    email: Email = Email()
    profile: dict[str, Profile] = {}


S = TypeVar("S", bound=msgspec.Struct)

# Accepted so that a project file can be written for a later version, but without effect in this one.
NOT_YET_IN_LIMITS = ("signal_payload",)
NOT_YET_IN_PROFILE = ("temporal", "artifacts")
ENGINES = ("duckdb", "postgres")


def find_config(start: Path) -> Path | None:
    """The nearest project file in ``start`` or the folders above it."""
    for folder in (start, *start.parents):
        if (path := folder / "wvflow.toml").is_file():
            return path
        if (path := folder / "pyproject.toml").is_file() and "wvflow" in _read(path).get("tool", {}):
            return path
    return None


def read_config(path: Path, environment: Mapping[str, str] = os.environ, profile: str = DEFAULT_PROFILE) -> ProjectFile:
    """Read and check a project file.

    Args:
        profile: the one that is wanted. The others keep their ``${env:NAME}`` as they are written: who runs on one
            profile needs no variables of another.

    Raises:
        ConfigError: it can't be read, or a key or value is wrong; the message names key and file.
    """
    table = _read(path)
    if path.name == "pyproject.toml":
        table = table["tool"]["wvflow"]
    found = convert(_substitute(table, "", path, environment, profile), ProjectFile, path)
    _check_values(found, path)
    return found


def convert(table: object, wanted: type[S], path: Path) -> S:
    """``table`` as the struct ``wanted``; values from the environment are texts, so a text may stand for a number."""
    for key, near in _unknown_keys(table, wanted, ""):
        raise ConfigError(f"{path}: there is no key `{key}`", help=f"did you mean `{near}`?" if near else None)
    try:
        return msgspec.convert(table, wanted, strict=False)
    except msgspec.ValidationError as error:
        match = _VALIDATION.fullmatch(str(error))
        what, key = (match["what"], match["path"]) if match else (str(error), "")
        raise ConfigError(f"{path}: `{key}`: {_in_words(what)}") from None


def _in_words(mismatch: str) -> str:
    """``Expected `int`, got `str` `` in the words of TOML.

    >>> _in_words("Expected `int`, got `array`")
    'expected a whole number, got a list'
    """
    said = re.sub(r"`([^`]*)`", lambda found: _TYPES.get(found[1].removesuffix(" | null"), found[0]), mismatch)
    return said[:1].lower() + said[1:]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _substitute(value: Any, key: str, path: Path, environment: Mapping[str, str], profile: str) -> Any:
    """``value`` with every ``${env:NAME}`` in its texts replaced, other profiles than that one aside."""
    match value:
        case dict():
            wanted = {profile} if key == "profile" else value.keys()
            return {
                k: _substitute(v, f"{key}.{k}".lstrip("."), path, environment, profile) if k in wanted else v
                for k, v in value.items()
            }
        case list():
            return [_substitute(v, key, path, environment, profile) for v in value]
        case str():
            return _ENVIRONMENT.sub(lambda found: _variable(found[1], key, path, environment), value)
        case _:
            return value


def _variable(name: str, key: str, path: Path, environment: Mapping[str, str]) -> str:
    if name not in environment:
        raise ConfigError(
            f"{path}: `{key}` needs the environment variable {name}, which is not set",
            help=f"set it: export {name}=…" if name else "name it: ${env:NAME}",
        )
    return environment[name]


def _unknown_keys(table: object, wanted: Any, prefix: str) -> Iterator[tuple[str, str | None]]:
    """Each key of ``table`` that ``wanted`` (a struct, or a dict of structs) hasn't, with the nearest it has."""
    if not isinstance(table, dict):
        return
    if get_origin(wanted) is dict:
        for key, value in table.items():
            yield from _unknown_keys(value, get_args(wanted)[1], f"{prefix}{key}.")
    elif isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        types = get_type_hints(wanted)
        fields = {field.encode_name: types[field.name] for field in msgspec.structs.fields(wanted)}
        for key, value in table.items():
            if key not in fields:
                near = nearest(key, fields)
                yield f"{prefix}{key}", near and f"{prefix}{near}"
            else:
                yield from _unknown_keys(value, _plain(fields[key]), f"{prefix}{key}.")


def _plain(hint: Any) -> Any:
    """The type behind an optional one."""
    if get_origin(hint) in (Union, UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None))
    return hint


def _check_values(found: ProjectFile, path: Path) -> None:
    if (text := found.retention.older_than) and parse_duration(text) is None:
        raise ConfigError(f"{path}: `retention.older_than`: expected a duration such as '30d', got {text!r}")
    for name, slots in found.pools.items():
        if slots < 1:
            raise ConfigError(f"{path}: `pools.{name}`: expected a number of slots above 0, got {slots}")
    for key, limit in msgspec.structs.asdict(found.limits).items():
        if limit < 1:
            raise ConfigError(f"{path}: `limits.{key}`: expected a number above 0, got {limit}")
    for name, profile in found.profile.items():
        if profile.driver not in ("embedded", "temporal") and not _ENVIRONMENT.search(profile.driver):
            raise ConfigError(f"{path}: `profile.{name}.driver`: expected embedded or temporal, got {profile.driver!r}")
