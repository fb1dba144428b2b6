"""The ground truth beside the data, `meta/truth.npz`: the models that LEAF draws its labels from, and discards."""

from fedsynth.truth.file import FILE_NAME, Truth, TruthWriter, true_models
from fedsynth.truth.find import NoTruth, find_truth
from fedsynth.truth.ids import find_ids, id_array
from fedsynth.truth.part import TruthGatherer, TruthPart
from fedsynth.truth.read import PARTITIONED, load_truth

__all__ = [
    "FILE_NAME",
    "PARTITIONED",
    "NoTruth",
    "Truth",
    "TruthGatherer",
    "TruthPart",
    "TruthWriter",
    "find_ids",
    "find_truth",
    "id_array",
    "load_truth",
    "true_models",
]
