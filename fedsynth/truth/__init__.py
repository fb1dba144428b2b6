"""The ground truth beside the data, `meta/truth.npz`: the models that LEAF draws its labels from, and throws away."""

from fedsynth.truth.file import FILE_NAME, Truth, TruthWriter, load_truth, true_models
from fedsynth.truth.find import find_truth

__all__ = ["FILE_NAME", "Truth", "TruthWriter", "find_truth", "load_truth", "true_models"]
