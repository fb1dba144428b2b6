"""Every public name is explained, with an example that does what it says."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import fedsynth
from tests.commands import fedsynth as command
from tests.commands import generate

NAMES = sorted(name for name in fedsynth.__all__ if not name.startswith("__") and name != "AbstractDatasetType")
WITH_TORCH = ("PyTorch", "load_splits")
FINDER = doctest.DocTestFinder(recurse=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which somebody has generated and preprocessed."""
    folder = tmp_path_factory.mktemp("examples")
    generate(folder, 60)
    command(folder, "preprocess", "-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample")
    return folder


def examples(name: str) -> list[doctest.DocTest]:
    return [test for test in FINDER.find(getattr(fedsynth, name), name, globs={}) if test.examples]


@pytest.mark.parametrize("name", NAMES)
def test_public_names_have_examples(name: str) -> None:
    assert examples(name), f"{name} has no example in its docstring"


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith(WITH_TORCH):
        pytest.importorskip("torch")
    monkeypatch.chdir(folder)
    for test in examples(name):
        printed: list[str] = []
        failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=printed.append)
        assert failed == 0, "".join(printed)


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_name_every_argument(name: str) -> None:
    public = getattr(fedsynth, name)
    for called, text in _documented(name, public):
        parameters = [
            parameter.name
            for parameter in inspect.signature(called).parameters.values()
            if parameter.name not in ("self", "cls")
        ]
        section = (inspect.cleandoc(text) + "\n").partition("\nArgs:\n")[2]
        missing = [parameter for parameter in parameters if f"    {parameter}:" not in section.replace("*", "")]
        assert not missing, f"{called.__qualname__} does not say what {', '.join(missing)} are"


def _documented(name: str, public: object) -> list[tuple[object, str]]:
    if inspect.isfunction(public):
        return [(public, public.__doc__ or "")]
    assert inspect.isclass(public)
    own = "__init__" in vars(public) or hasattr(public, "__dataclass_fields__")
    return [(public, public.__doc__ or "")] if own and not issubclass(public, Exception) else []
