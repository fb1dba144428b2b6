"""What importing costs, and what works without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fedsynth
from fedsynth import federated
from tests.commands import ROOT, environment

WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
"""


def run(script: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_the_package_imports_neither_numpy_nor_torch() -> None:
    assert run("import sys, fedsynth; print(sorted({'numpy', 'torch'} & set(sys.modules)))").strip() == "[]"


def test_importing_every_public_name_does_not_import_torch() -> None:
    for module in ("fedsynth", "fedsynth.federated"):
        assert run(f"import sys\nfrom {module} import *\nprint('torch' in sys.modules, Dataset, load)").startswith(
            "False"
        )


def test_public_names_are_the_same_in_both_places() -> None:
    assert set(federated.__all__) == set(fedsynth.__all__) - {"__version__"}
    for name in federated.__all__:
        assert getattr(fedsynth, name) is getattr(federated, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fedsynth' has no attribute 'Datset'"):
        fedsynth.Datset  # noqa: B018


def test_only_one_module_imports_torch() -> None:
    importing = {
        path.name for path in Path(federated.__file__).parent.glob("*.py") if "import torch\n" in path.read_text()
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
def test_without_torch_a_torch_class_names_the_install_command(use: str) -> None:
    script = f"""{WITHOUT_TORCH}
from fedsynth import *
from fedsynth.federated import *
try:
    {use}
except ImportError as error:
    print(error)
"""
    assert run(script).strip() == 'PyTorch is not installed; run `pip install "fedsynth[torch]"`'


def test_without_torch_everything_else_works() -> None:
    script = f"""{WITHOUT_TORCH}
import numpy as np
from fedsynth.federated import *
users = FederatedDataset.from_slices({{0: (np.arange(3),)}}, get_user_sampler("random", [0]))
print([len(user) for user, _ in users.get_cohort(2)], load.__name__)
"""
    assert run(script).strip() == "[3, 3] load"


def test_the_package_is_tested_where_it_is() -> None:
    assert Path(fedsynth.__file__).is_relative_to(ROOT)
