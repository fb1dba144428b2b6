"""Programs that import pfl.data get these classes: by sed, or by replace_pfl()."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from fedsynth.errors import UsageError
from fedsynth.federated import replace_pfl
from tests.federated.reference import pfl
from tests.federated.test_imports import run

pytest.importorskip("torch")

PROGRAM = """
import pfl.data
import pfl.data.federated_dataset as many
from pfl.data import FederatedDataset, get_user_sampler, user_state
from pfl.data.dataset import AbstractDataset, AbstractDatasetType, Dataset, DatasetSplit, TabularDataset
from pfl.data.federated_dataset import ArtificialFederatedDataset, FederatedDatasetBase, FederatedDatasetMixture
from pfl.data.partition import partition_by_dirichlet_class_distribution
from pfl.data.pytorch import PyTorchDataDataset, PyTorchFederatedDataset, PyTorchTensorDataset
from pfl.data.sampling import CrossSiloUserSampler, DirichletDataSampler, MinimizeReuseDataSampler, get_data_sampler
from pfl.data.sampling import MinimizeReuseUserSampler
from pfl.data.user_state import AbstractUserStateStorage, DiskUserStateStorage, InMemoryUserStateStorage

import numpy as np

np.random.seed(1)
assert many.FederatedDataset is FederatedDataset and pfl.data.dataset.Dataset is Dataset
users = FederatedDataset.from_slices({u: (np.arange(u + 1),) for u in range(9)}, get_user_sampler("random", range(9)))
print([(len(user), int(seed)) for user, seed in users.get_cohort(4)])
"""
QUIET = "import warnings\nwarnings.simplefilter('ignore')\nimport multiprocessing\n"
FRAMEWORK = "import pfl.model.pytorch\n"
"""pfl's datasets ask the framework which worker they are on."""


@functools.cache
def expected() -> str:
    pytest.importorskip("pfl")
    return run(QUIET + FRAMEWORK + PROGRAM)


def test_sed_is_the_whole_migration() -> None:
    migrated = re.sub(r"pfl\.data", "fedsynth.federated", PROGRAM, flags=0)
    assert "pfl.data" not in migrated
    check = "import sys\nassert not [name for name in sys.modules if name.startswith('pfl')]\n"
    assert run(migrated + check) == expected()


def test_replacing_pfl_gives_a_program_these_classes_and_pfls_algorithms_too() -> None:
    pytest.importorskip("pfl")
    script = f"""{QUIET}
from fedsynth import replace_pfl
replace_pfl()
{FRAMEWORK}{PROGRAM}
from pfl.aggregate.simulate import FederatedDatasetBase as theirs
from pfl.algorithm.scaffold import AbstractUserStateStorage as states
import fedsynth.federated as f
assert (theirs, states, Dataset) == (f.FederatedDatasetBase, f.AbstractUserStateStorage, f.Dataset)
try:
    import pfl.data.tensorflow
except ImportError as error:
    assert "pfl.data.tensorflow" in str(error)
else:
    raise AssertionError("it is there")
"""
    assert run(script) == expected()


def test_replacing_pfl_is_undone_after_the_block() -> None:
    pytest.importorskip("pfl")
    script = f"""{QUIET}
import sys
import fedsynth.federated as f
with f.replace_pfl() as replacement:
    import pfl.data
    assert pfl.data.FederatedDataset is pfl.data.federated_dataset.FederatedDataset is f.FederatedDataset
assert not [name for name in sys.modules if name.startswith("pfl")]
import pfl.data
import pfl.algorithm.scaffold
assert pfl.data.FederatedDataset is not f.FederatedDataset
assert pfl.algorithm.scaffold.AbstractUserStateStorage.__module__ == "pfl.data.user_state"
replacement.undo()
assert "pfl.data" in sys.modules
"""
    run(script)


def test_replacing_pfl_where_it_is_imported_is_an_error() -> None:
    pfl()
    with pytest.raises(UsageError, match="pfl is imported already, expected it not to be; call replace_pfl"):
        replace_pfl()


def test_replacing_pfl_where_it_is_not_installed_names_the_install_command(tmp_path: Path) -> None:
    script = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "pfl" else find(name)
from fedsynth import replace_pfl
try:
    replace_pfl()
except ImportError as error:
    print(error)
"""
    assert run(script).strip() == "pfl-research is not installed; run `pip install 'pfl==0.6.*'`"
