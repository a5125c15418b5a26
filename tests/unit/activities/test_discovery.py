"""Finding activities in projects and packages, apart from each other, with every problem told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wvflow.activities.registry import Registry
from wvflow.errors import TaskError

Project = Callable[..., Path]
HEAD = "from wvflow.activities.decorator import activity\n"


def answer(value: int, name: str = "answer") -> str:
    return f"{HEAD}\n@activity\ndef {name}():\n    return {value}\n"


def value_of(registry: Registry, call: Any, stop: Any, name: str = "answer") -> Any:
    return registry.run(call(name), stop).read_all()["value"][0].as_py()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put packages with entry points where Python finds them."""
    site = tmp_path / "site"

    def install(entry_points: str, **modules: str) -> None:
        info = site / "offers-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wvflow.activities]\n{entry_points}\n")
        for name, text in modules.items():
            (site / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(site)

    return install


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        pytest.param({"activities.py": answer(1)}, ["activities"], id="a file"),
        pytest.param({"activities/__init__.py": answer(1)}, ["activities"], id="a package"),
        pytest.param({"etl/activities.py": answer(1)}, ["etl.activities"], id="a file in a folder"),
        pytest.param({"etl/my-flows/activities.py": answer(1)}, ["etl.my-flows.activities"], id="an odd folder"),
        pytest.param({"pkg/__init__.py": "", "pkg/jobs.py": answer(1)}, ["pkg.jobs"], id="a module of a package"),
        pytest.param({"activities.py": "from more import answer", "more.py": answer(1)}, ["activities"], id="imported"),
        pytest.param(
            {"activities.py": "from more import answer", "more.py": answer(1)}, ["activities", "more"], id="seen twice"
        ),
        pytest.param({"activities.py": answer(1) + "\nalias = answer"}, ["activities"], id="two names for it"),
        pytest.param({"activities.py": answer(1)}, ["activities", "activities"], id="named twice"),
        pytest.param({"a.py": answer(1), "b.py": answer(2, "other")}, ["a", "b"], id="two modules"),
    ],
)
def test_decorated_functions_of_a_module_are_found(
    files: dict[str, str], modules: list[str], project: Project, call: Any, stop: Any
) -> None:
    registry = Registry.discover(project(files), modules)
    assert registry.problems == ()
    assert value_of(registry, call, stop) == 1


IMPORTS = {
    "import helpers": "helpers.VALUE",
    "from helpers import VALUE": "VALUE",
    "import deep.down": "deep.down.VALUE",
    "import deep.down as it": "it.VALUE",
    "from deep import down": "down.VALUE",
    "from deep.down import VALUE": "VALUE",
    "from plain import down": "down.VALUE",
    "from . import helpers": "helpers.VALUE",
    "from .helpers import VALUE": "VALUE",
}


@pytest.mark.parametrize("late", [False, True], ids=["at import", "when it runs"])
@pytest.mark.parametrize("statement", IMPORTS)
def test_two_projects_import_their_own_modules_of_the_same_names(
    statement: str, late: bool, project: Project, call: Any, stop: Any
) -> None:
    above, within = ("pass", statement) if late else (statement, "pass")
    body = f"{HEAD}{above}\n@activity\ndef answer():\n    {within}\n    return {IMPORTS[statement]}\n"
    registries = []
    for value in (1, 2):
        constant = f"VALUE = {value}\n"
        files = {
            "activities.py": body,
            "helpers.py": constant,
            "deep/__init__.py": "",
            "deep/down.py": constant,
            "plain/down.py": constant,
        }
        registries.append(Registry.discover(project(files, f"project{value}")))
    assert [registry.problems for registry in registries] == [(), ()]
    assert [value_of(registry, call, stop) for registry in registries] == [1, 2]


def test_a_project_leaves_no_trace_in_the_path_or_under_its_names(project: Project) -> None:
    before = list(sys.path)
    Registry.discover(project({"activities.py": "import helpers_of_mine\n", "helpers_of_mine.py": ""}))
    assert sys.path == before
    assert "activities" not in sys.modules
    assert "helpers_of_mine" not in sys.modules


def test_a_module_in_a_folder_imports_what_is_beside_it_before_the_roots(
    project: Project, call: Any, stop: Any
) -> None:
    body = f"{HEAD}import near, far\n@activity\ndef answer():\n    return near.V + far.V\n"
    root = project({"etl/activities.py": body, "etl/near.py": "V = 1", "near.py": "V = 50", "far.py": "V = 2"})
    assert value_of(Registry.discover(root, ["etl.activities"]), call, stop) == 3


@pytest.mark.parametrize("file", ["json.py", "pyarrow/data.csv"])
def test_a_file_or_folder_named_like_a_library_does_not_hide_it(
    file: str, project: Project, call: Any, stop: Any
) -> None:
    uses = "len(json.dumps(1)) + len(pyarrow.table({}))"
    body = f"{HEAD}import json, pyarrow\n@activity\ndef answer():\n    return {uses}\n"
    assert value_of(Registry.discover(project({"activities.py": body, file: ""})), call, stop) == 1


def test_each_discovery_sees_the_files_as_they_are_now(project: Project, call: Any, stop: Any) -> None:
    first = Registry.discover(project({"activities.py": answer(1)}))
    second = Registry.discover(project({"activities.py": answer(1_000)}))
    assert [value_of(registry, call, stop) for registry in (first, second)] == [1, 1_000]


def test_a_project_without_activities_has_no_problem(project: Project) -> None:
    registry = Registry.discover(project({"flow.wv": ""}))
    assert (registry.activities, registry.problems) == ({}, ())


@pytest.mark.parametrize(
    ("text", "message", "place", "help"),
    [
        pytest.param(
            "import nowhere_to_be_found",
            "`activities` can't be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
            ("activities.py", 1),
            "install `nowhere_to_be_found` in the environment that runs wvflow",
            id="a library is missing",
        ),
        pytest.param(
            "x = 1\nraise SystemExit('bye')",
            "`activities` can't be imported: SystemExit: the activity called exit('bye')",
            ("activities.py", 2),
            None,
            id="it exits",
        ),
        pytest.param(
            "x = 1\ndef f(:\n",
            "`activities` can't be imported: SyntaxError: invalid syntax (activities.py, line 2)",
            ("activities.py", 2),
            None,
            id="it isn't Python",
        ),
        pytest.param(
            f"{HEAD}@activity(retrys=1)\ndef f(): ...\n",
            "TypeError: @activity has no property `retrys`; did you mean `retries`?",
            ("activities.py", 2),
            None,
            id="a property is misspelt",
        ),
        pytest.param(
            f"{HEAD}@activity\ndef f(url: str): ...\n",
            "the first parameter of `f` is the rows, but `url` is annotated `str`",
            ("activities.py", 2),
            "if it is an argument, make it keyword-only: `def f(*, url: str)`",
            id="an argument in the place of the rows",
        ),
    ],
)
def test_a_module_that_can_not_be_used_is_a_problem_with_a_place(
    text: str, message: str, place: tuple[str, int], help: str | None, project: Project
) -> None:
    (problem,) = Registry.discover(project({"activities.py": text})).problems
    assert message in problem.message
    assert (problem.file, problem.line) == place
    assert (problem.help or "").startswith(help or "")


def test_the_lines_of_a_failed_import_are_the_users(project: Project) -> None:
    root = project({"activities.py": "import helpers", "helpers.py": "x = 1 / 0"})
    (problem,) = Registry.discover(root).problems
    assert [line for line in problem.detail.splitlines() if line.strip(" ~^")] == [
        f'  File "{root}/activities.py", line 1, in <module>',
        "    import helpers",
        f'  File "{root}/helpers.py", line 1, in <module>',
        "    x = 1 / 0",
    ]


def test_a_configured_module_that_is_nowhere_is_a_problem(project: Project) -> None:
    (problem,) = Registry.discover(project({"flow.wv": ""}), ["etl.jobs_of_mine"]).problems
    assert "`etl.jobs_of_mine` can't be imported: ModuleNotFoundError" in problem.message
    assert "write `etl/jobs_of_mine.py` below the project's root" in (problem.help or "")


def test_two_activities_of_one_name_are_a_problem_that_names_both(project: Project) -> None:
    root = project({"a.py": answer(1), "b.py": "\n\n" + answer(2)})
    (problem,) = Registry.discover(root, ["a", "b"]).problems
    assert problem.message == "two activities are named `answer`: a.py:3 and b.py:5"


def test_packages_offer_functions_and_modules(installed: Any, project: Project, call: Any, stop: Any) -> None:
    installed(
        "single = offer_one:plain\nall = offer_many",
        offer_one="def plain():\n    return 5\n",
        offer_many=answer(6, "first") + answer(7, "second"),
    )
    registry = Registry.discover(project({}))
    assert registry.problems == ()
    assert [value_of(registry, call, stop, name) for name in ("single", "first", "second")] == [5, 6, 7]


def test_the_projects_activity_wins_over_a_packages(installed: Any, project: Project, call: Any, stop: Any) -> None:
    installed("answer = offer_answer:answer", offer_answer=answer(2))
    registry = Registry.discover(project({"activities.py": answer(1)}))
    assert (registry.problems, value_of(registry, call, stop)) == ((), 1)


def test_an_offer_that_can_not_be_imported_is_a_problem(installed: Any, project: Project) -> None:
    installed("answer = offer_broken:answer", offer_broken="raise OSError('no licence')")
    (problem,) = Registry.discover(project({})).problems
    assert problem.message == "`offer_broken:answer` can't be imported: OSError: no licence"


@pytest.mark.parametrize(
    ("name", "message", "help"),
    [
        ("anser", "no activity is named `anser`; searched `activities`, `more`", "did you mean `answer`?"),
        ("zzz", "no activity is named `zzz`; searched `activities`, `more`", "write a function `zzz` with `@activity`"),
    ],
)
def test_an_unknown_activity_names_the_modules_searched(
    name: str, message: str, help: str, project: Project, call: Any, stop: Any
) -> None:
    registry = Registry.discover(project({"activities.py": answer(1), "more.py": ""}), ["activities", "more"])
    with pytest.raises(TaskError) as caught:
        registry.run(call(name), stop)
    assert (caught.value.kind, caught.value.message, caught.value.retryable) == ("ActivityNotFound", message, False)
    assert (caught.value.help or "").startswith(help)


def test_an_unknown_activity_tells_of_modules_that_failed(project: Project, call: Any, stop: Any) -> None:
    registry = Registry.discover(project({"activities.py": "1 / 0"}))
    with pytest.raises(TaskError, match="`activities` can't be imported: ZeroDivisionError"):
        registry.run(call("answer"), stop)


def test_the_fingerprint_follows_the_files_content_and_the_function(project: Project) -> None:
    first = Registry.discover(project({"activities.py": answer(1) + answer(1, "other")}))
    same = Registry.discover(project({"activities.py": answer(1) + answer(1, "other")}, "copy"))
    edited = Registry.discover(project({"activities.py": answer(2) + answer(1, "other")}, "edited"))
    assert first.fingerprint("answer") == same.fingerprint("answer")
    assert len({one.fingerprint(name) for one in (first, edited) for name in ("answer", "other")}) == 4
    assert first.fingerprint("unknown") == ""


def test_a_module_that_is_no_python_shows_no_line_of_the_import_system(tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text("x = 1\ndef f(:\n")
    (problem,) = Registry.discover(tmp_path, ["activities"]).problems
    assert problem.detail == ""
