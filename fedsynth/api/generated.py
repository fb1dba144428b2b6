"""`fedsynth.generate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fedsynth.api.arguments import folder_path, parameters_given, whole
from fedsynth.api.results import Generated, generated_folder
from fedsynth.api.running import choose_bar, choose_teller
from fedsynth.cli.command_line import shortest_command
from fedsynth.engine import open_engine
from fedsynth.pipeline.generator import NO_EFFECT, GeneratorResult, choose_parameters, generate_levels
from fedsynth.pipeline.target import Asked, make_targets
from fedsynth.processes.dataset import Dataset
from fedsynth.records.layout import meta_dir
from fedsynth.truth import FILE_NAME


def generate(
    data_dir: str | os.PathLike[str] = "data",
    *,
    num_tasks: int,
    model: str = "leaf",
    targets: Asked | None = None,
    num_classes: int | None = None,
    num_dim: int | None = None,
    seed: int | None = None,
    prob_clusters: Sequence[float] | None = None,
    cluster_spread: float | None = None,
    model_spread: float | None = None,
    noise: float | None = None,
    mean_samples: float | None = None,
    sigma_samples: float | None = None,
    min_samples: int | None = None,
    max_samples: int | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    iid: bool | None = None,
    mean_size: float | None = None,
    sizes: Sequence[int] | None = None,
    label_alpha: float | None = None,
    imbalance: float | None = None,
    concept_dims: int | None = None,
    concept_within: float | None = None,
    concept_between: float | None = None,
    label_noise: float | None = None,
    feature_shift: float | None = None,
    stream: str = "",
    num_shards: int = 1,
    overwrite: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = False,
) -> Generated:
    """Generate `data_dir/all_data` and the ground truth, as `fedsynth generate` does: the same bytes, all or none.

    What is there already is kept if it was made with the same parameters. A parameter that is None has its process's
    default; those of another process are an error.

    Args:
        data_dir: The folder of the stages' folders; it is made if need be. Records lie beside it, in `meta`.
        num_tasks: How many users, 1 to 10**8.
        model: The generative process: leaf, fedprox or shifts.
        targets: With shifts: levels by measure, such as `{"quantity.gini": 0.5}`, or with a tolerance,
            `{"quantity.gini": (0.5, 0.01)}`. The knobs that reach them are found first.
        num_classes: Number of classes (5; fedprox 10).
        num_dim: Dimensions of x (60).
        seed: Of all draws, 0 to 2**32 - 1 (931231).
        prob_clusters: leaf, shifts: the probability of each cluster of models (`[1.0]`).
        cluster_spread: leaf: standard deviation of the clusters' centres around their location (1.0).
        model_spread: leaf: standard deviation of the users' models around their cluster's centre (0.1).
        noise: leaf: standard deviation of the noise on the logits (0.1).
        mean_samples: leaf: mean of the logarithm of a user's number of samples (3).
        sigma_samples: leaf, shifts: standard deviation of that logarithm (2).
        min_samples: leaf, shifts: samples of the smallest user there can be (5).
        max_samples: leaf, shifts: samples of the largest (1000).
        alpha: fedprox: standard deviation of the users' models (1.0), which has no effect on the data.
        beta: fedprox: standard deviation of the means of the users' samples (1.0).
        iid: fedprox: one model and one mean for all users.
        mean_size: shifts: expected number of samples (101.7).
        sizes: shifts: the exact numbers of samples, one a user, instead of drawn ones.
        label_alpha: shifts: concentration of users' class shares (inf: all users alike).
        imbalance: shifts: how many times more frequent the first class is than the last (1).
        concept_dims: shifts: dimensions that decide the class (a third of num_dim, at least 2).
        concept_within: shifts: expected disagreement of two users of one cluster (0).
        concept_between: shifts: of two users of two clusters (0: as in one).
        label_noise: shifts: probability that a label is another one (0).
        feature_shift: shifts: share of variance between users in the other dimensions (0).
        stream: One sequence of draws, sequential, or one for each task, independent ("": the process's first).
        num_shards: Number of files.
        overwrite: Replace data that is there; it stands until the new is whole.
        workers: Processes on this machine; more than one need several shards and independent streams.
        scheduler: The address of a Dask scheduler to run on instead.
        progress: Show a bar, in a notebook or on standard error.

    Returns:
        Generated: counts, seed, files, parameters, levels and the command that makes the same.

    Raises:
        UsageError: For a parameter that makes no sense, or levels that can't be had.
        StageError: If other data is in the way.
        BusyError: If another run is at work in the folder.
        EngineError: If workers or the cluster can't do the work.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> made
        <Generated data/all_data: 20 users, 2,144 samples (seed 1)>
        >>> made.parameters["num_classes"]
        5
    """
    given = parameters_given(locals())
    folder = folder_path("data_dir", data_dir)
    dataset = Dataset(choose_parameters(model, given), stream=stream, num_shards=whole("num_shards", num_shards))
    levels = make_targets(targets or {})
    with open_engine(workers, scheduler) as engine:
        made = generate_levels(
            folder if engine.local else folder.absolute(),
            dataset,
            levels,
            given=given,
            command=lambda solved: shortest_command(solved, folder),
            overwrite=overwrite,
            engine=engine,
            bar=choose_bar(progress),
            solving=choose_teller(progress),
        )
    return _described(folder, made, [f"alpha {NO_EFFECT}"] if "alpha" in given else [])


def _described(folder: Path, made: GeneratorResult, notes: Sequence[str]) -> Generated:
    parameters = made.dataset.parameters
    done = generated_folder(folder, made.stage)
    return Generated(
        path=done.path,
        users=done.users,
        samples=done.samples,
        files=done.files,
        seed=parameters.seed,
        kept=made.stage.kept,
        parameters=asdict(parameters),
        levels=made.levels,
        command=shortest_command(made.dataset, folder),
        truth=meta_dir(folder) / FILE_NAME,
        notes=(*notes, *made.stage.notes),
    )
