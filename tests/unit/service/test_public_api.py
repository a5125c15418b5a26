"""The public names: this list changes only on purpose."""

import subprocess
import sys

import pytest

import wvflow

NAMES = [
    "ActivityContext",
    "NonRetryable",
    "Program",
    "Retry",
    "RunHandle",
    "RunResult",
    "WvflowError",
    "__version__",
    "activity",
    "load",
    "sink",
]


def test_these_are_the_public_names() -> None:
    assert sorted(wvflow.__all__) == NAMES
    assert set(NAMES) <= set(dir(wvflow))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_there(name: str) -> None:
    assert getattr(wvflow, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = wvflow.lode  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, wvflow; print([name for name in sys.modules if name.startswith('wvflow.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
