"""What importing costs, and what works without torch."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fedsynth
from fedsynth import federated
from tests.commands import ROOT, environment


def run(script: str, *options: str, **variables: str) -> str:
    command = [sys.executable, *options, "-c", script]
    env = environment(**variables)
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def run_without_torch(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Run in an environment that has what fedsynth requires, and no torch."""
    site = tmp_path_factory.mktemp("site")
    for name in ("numpy", "orjson", "msgspec"):
        installed = Path(importlib.import_module(name).__file__ or "").parent
        for folder in (installed, installed.with_name(f"{name}.libs")):
            if folder.exists():
                (site / folder.name).symlink_to(folder)
    return lambda script: run(script, "-S", PYTHONPATH=os.pathsep.join([str(ROOT), str(site)]))


def test_the_environment_without_torch_has_none(run_without_torch: Callable[[str], str]) -> None:
    assert run_without_torch("import importlib.util; print(importlib.util.find_spec('torch'))").strip() == "None"


def test_importing_the_package_imports_neither_numpy_nor_torch() -> None:
    assert run("import sys, fedsynth; print(sorted({'numpy', 'torch'} & set(sys.modules)))").strip() == "[]"


def test_importing_every_public_name_does_not_import_torch() -> None:
    for module in ("fedsynth", "fedsynth.federated"):
        assert run(f"import sys\nfrom {module} import *\nprint('torch' in sys.modules, Dataset, load)").startswith(
            "False"
        )


def test_public_names_are_the_same_in_both_places() -> None:
    elsewhere = {"__version__", *fedsynth._HOMES}
    assert set(federated.__all__) == set(fedsynth.__all__) - elsewhere
    assert elsewhere <= set(fedsynth.__all__)
    for name in federated.__all__:
        assert getattr(fedsynth, name) is getattr(federated, name)


def test_the_subpackage_and_all_names_are_found_without_importing_numpy() -> None:
    script = "import sys, fedsynth; print({'load', 'federated'} <= set(dir(fedsynth)), 'numpy' in sys.modules)"
    assert run(script).split() == ["True", "False"]
    assert run("import fedsynth; print(fedsynth.federated.load.__name__)").strip() == "load"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fedsynth' has no attribute 'Datset'"):
        fedsynth.Datset  # noqa: B018


def test_only_one_module_imports_torch() -> None:
    importing = {
        path.name
        for path in Path(federated.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "torch" for alias in node.names)
    }
    assert importing == {"torch.py"}


@pytest.mark.parametrize(
    "use",
    [
        "PyTorchTensorDataset(())",
        "PyTorchDataDataset([1])",
        "PyTorchFederatedDataset([1], lambda: 0)",
        "load(framework='torch')",
    ],
)
def test_without_torch_a_torch_class_names_the_install_command(
    use: str, run_without_torch: Callable[[str], str]
) -> None:
    script = f"""
from fedsynth import *
from fedsynth.federated import *
try:
    {use}
except ImportError as error:
    print(error)
"""
    assert run_without_torch(script).strip() == 'PyTorch is not installed; run `pip install "torch >= 2.2"`'


def test_without_torch_everything_else_works(run_without_torch: Callable[[str], str]) -> None:
    script = """
import numpy as np
from fedsynth.federated import *
users = FederatedDataset.from_slices({0: (np.arange(3),)}, get_user_sampler("random", [0]))
print([len(user) for user, _ in users.get_cohort(2)], load.__name__)
"""
    assert run_without_torch(script).strip() == "[3, 3] load"


def test_the_package_is_tested_where_it_is() -> None:
    assert Path(fedsynth.__file__).is_relative_to(ROOT)
