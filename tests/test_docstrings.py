"""Every public name is explained: what each argument is, and an example, which tests/test_doctests.py runs."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import fedsynth
from tests.test_doctests import TESTS

KINDS_OF_ERRORS = {name for name in fedsynth.__all__ if name.endswith("Error") and name != "UserNotFoundError"}
NAMES = sorted(set(fedsynth.__all__) - KINDS_OF_ERRORS - {"__version__", "AbstractDatasetType"})
RETURNED = {"Comparison", "Exported", "Fit", "Folder", "Generated", "Partition", "Preprocessed", "StageDone"}
"""Made by functions alone, whose examples show them."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RETURNED])
def test_public_names_have_examples(name: str) -> None:
    assert any(test == name or test.startswith(f"{name}.") for test in TESTS), f"{name} has no example"


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_say_what_each_argument_is(name: str) -> None:
    public: Any = getattr(fedsynth, name)
    if name in RETURNED or (inspect.isclass(public) and not _takes_arguments(public)):
        assert public.__doc__
        return
    text = inspect.cleandoc(public.__doc__ or "") + "\n"
    section = text.partition("\nArgs:\n")[2].replace("*", "")
    parameters = [parameter for parameter in inspect.signature(public).parameters if parameter not in ("self", "cls")]
    missing = [parameter for parameter in parameters if f"    {parameter}:" not in section]
    assert not missing, f"{name} does not say what these are: {', '.join(missing)}"


def _takes_arguments(public: type) -> bool:
    return public.__init__ is not object.__init__ and not issubclass(public, Exception)
