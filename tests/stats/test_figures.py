"""Bars stand for the right numbers, at any number of users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageColor
from sklearn.decomposition import PCA

from fedsynth.records.mark import new_file
from fedsynth.stats import pictures
from fedsynth.stats.bins import MOST_BINS, choose_bins
from fedsynth.stats.components import principal_components
from fedsynth.stats.figures import draw_histogram, draw_plain_histogram, save_pictures
from fedsynth.stats.figures_canvas import (
    BAR,
    BEYOND,
    INK,
    SIZE,
    WHITE,
    fitting_text,
    png,
    readable,
    text_width,
    tick_step,
)
from fedsynth.stats.figures_labels import (
    BARS_LEFT,
    BARS_RIGHT,
    COLOURS,
    LEFT,
    MAP_RIGHT,
    ClassNames,
    Rows,
    arrange,
    bar_end,
    draw_labels,
    label_text,
    scale_top,
)
from fedsynth.stats.figures_models import COLOURS as MARK_COLOURS
from fedsynth.stats.figures_models import MOST_MARKS, SHAPES, draw_models, evenly_picked, mark_opacity, mark_radius
from fedsynth.stats.labels import Label, LabelCounter, LabelTable
from fedsynth.stats.summary import BIN_EDGES, summarize
from fedsynth.truth import Truth, true_models

BAR_RGB, BEYOND_RGB, WHITE_RGB = (ImageColor.getrgb(colour) for colour in (BAR, BEYOND, WHITE))


def runs(image: Image.Image, colour: tuple[int, ...]) -> list[tuple[int, int]]:
    """The bars of a colour: for each run of columns just above the axis, its width and the bar's height in pixels."""
    pixels = image.load()
    lower = max(y for y in range(image.height) if pixels[image.width // 2, y] == ImageColor.getrgb(INK)) - 5
    found, width = [], 0
    for x in range(image.width):
        if pixels[x, lower] == colour:
            width += 1
        elif width:
            height = next(y for y in range(lower, -1, -1) if pixels[x - 1, y] != colour)
            found.append((width, lower - height))
            width = 0
    return found


def test_heights_are_proportional_to_users() -> None:
    summary = summarize([5] * 40 + [25] * 20 + [45] * 10 + [500] * 30)
    image = draw_plain_histogram(summary)
    heights = [height for _, height in runs(image, BAR_RGB)]
    assert len(heights) == 3
    assert heights[0] / heights[1] == pytest.approx(2, rel=0.03)
    assert heights[0] / heights[2] == pytest.approx(4, rel=0.06)


def test_bar_beyond_the_bins_has_its_own_colour_and_the_same_scale() -> None:
    image = draw_histogram(summarize([5] * 40 + [500] * 20), "x")
    ((_, first),), ((_, beyond),) = runs(image, BAR_RGB)[:1], runs(image, BEYOND_RGB)
    assert first / beyond == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("users", [1, 3, 100, 10_000])
def test_any_number_of_users_fits(users: int) -> None:
    image = draw_histogram(summarize([5] * users + [150]), "synthetic")
    assert image.size == SIZE
    assert len(runs(image, BAR_RGB)) == 2, "the single user shows, however small its bar"
    edge = [image.getpixel((x, y)) for x in range(image.width) for y in (0, image.height - 1)]
    assert set(edge) == {WHITE_RGB}


@pytest.mark.parametrize(("largest", "step"), [(1, 1), (6, 1), (7, 2), (429, 100), (61, 20), (60, 10), (12_000, 2000)])
def test_ticks_are_round(largest: int, step: int) -> None:
    assert tick_step(largest) == step


def test_pictures_are_replaced_whole(tmp_path: Path) -> None:
    for users in (3, 5):
        paths = save_pictures(tmp_path, "synthetic", summarize([5] * users), None)
    assert names(tmp_path) == ["synthetic_hist.png", "synthetic_hist_nolabel.png"]
    for path in paths:
        with Image.open(path) as image:
            image.verify()


@pytest.mark.parametrize("sizes", [[107] * 30 + [108] * 70, [42], [*range(95, 110)] * 9, [9_000, 20_000, 45_000] * 3])
def test_bins_are_chosen_by_the_data(sizes: list[int]) -> None:
    """Where LEAF's would be one bar or two, as after iid sampling."""
    bins = choose_bins(summarize(sizes))
    assert bins.beyond is None
    assert sum(bins.users) == len(sizes)
    assert 3 <= len(bins.users) <= MOST_BINS
    for (low, high), users in zip(pairwise(bins.edges), bins.users, strict=True):
        assert users == sum(low <= size < high for size in sizes)
    occupied = sum(map(bool, bins.users))
    assert occupied == min(len(set(sizes)), occupied)
    assert len(runs(draw_histogram(summarize(sizes), "x"), BAR_RGB)) == runs_expected(bins.users)


def runs_expected(users: Sequence[int]) -> int:
    """A bar each: the rims between them show."""
    return sum(map(bool, users))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_bins_count_every_user_once(sizes: list[int]) -> None:
    bins = choose_bins(summarize(sizes))
    assert sum(bins.users) + (bins.beyond or 0) == len(sizes)
    assert len(bins.edges) == len(bins.users) + 1
    assert len(bins.users) <= MOST_BINS + 2
    assert len({high - low for low, high in pairwise(bins.edges)}) == 1


def test_leafs_bins_stay_where_they_show_something() -> None:
    rng = np.random.default_rng(5)
    summary = summarize(np.minimum(np.exp(rng.normal(3, 2, 500)).astype(int) + 5, 1000).tolist())
    bins = choose_bins(summary)
    assert (bins.edges, bins.users, bins.beyond) == (BIN_EDGES, summary.bins, summary.beyond)


def save(image: Image.Image, path: Path) -> Path:
    [written] = pictures.write_pictures({path: png(image)})
    return written


def test_a_passing_file_is_private_new_and_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, seen = draw_plain_histogram(summarize([5])), []

    @contextmanager
    def noted(target: Path) -> Iterator[Path]:
        with new_file(target) as new:
            seen.append(new)
            yield new

    monkeypatch.setattr(pictures, "new_file", noted)
    for _ in range(2):
        save(image, tmp_path / "a.png")
    assert len(set(seen)) == 2
    assert {path.parent for path in seen} == {tmp_path / ".fedsynth"}
    assert names(tmp_path) == ["a.png"]
    assert [path.name for path in (tmp_path / ".fedsynth").iterdir()] == [".fedsynth"]


def test_what_a_killed_process_left_of_a_picture_goes_and_nothing_else(tmp_path: Path) -> None:
    image = draw_plain_histogram(summarize([5]))
    save(image, tmp_path / "a.png")
    private = tmp_path / ".fedsynth"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f"a.png.{dead.pid}.0123abcd", f"a.png.{os.getpid()}.0123abcd", f"b.png.{dead.pid}.0123abcd"):
        (private / name).touch()
    save(image, tmp_path / "a.png")
    left = {f"a.png.{os.getpid()}.0123abcd", f"b.png.{dead.pid}.0123abcd", ".fedsynth"}
    assert {path.name for path in private.iterdir()} == left


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".fedsynth")


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = draw_plain_histogram(summarize([5]))
    before = save(image, tmp_path / "a.png").read_bytes()

    class Full(FileIO):
        def write(self, data: Any) -> int:
            super().write(data[:4])
            raise OSError(28, "No space left on device")

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: Full(self, mode) if mode == "xb" else opened(self, mode))
    with pytest.raises(OSError, match="No space"):
        save(image, tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_links_are_replaced_and_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".a.png.new", "a.png"):
        (tmp_path / name).symlink_to(victim)
    save(draw_plain_histogram(summarize([5])), tmp_path / "a.png")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "a.png").is_symlink()


def test_pictures_drawn_at_once_are_whole(tmp_path: Path) -> None:
    summary = summarize([5, 80, 300])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: save_pictures(tmp_path, "x", summary, None), range(16)))
    assert names(tmp_path) == ["x_hist.png", "x_hist_nolabel.png"]
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            image.verify()


# type


def test_long_texts_are_cut_to_what_fits() -> None:
    for text in ("x" * 100_000, "i" * 100_000, "a b" * 9, "short"):
        cut = fitting_text(text, 120)
        assert text_width(cut) <= 120
        assert cut == text or (cut.endswith("...") and text_width(f"{text[: len(cut) - 2]}...") > 120)


def test_what_can_not_be_drawn_is_spelled() -> None:
    assert readable("a\ud800b") == "a\\ud800b"
    assert readable("two\nlines") == "two\\nlines"
    assert readable("") == '""'
    assert readable("  ") == '"  "'
    assert readable("Iris-setosa 5%") == "Iris-setosa 5%"


# labels


def shares_at(image: Image.Image, table: LabelTable, rows: Rows, row: int, column: int) -> int:
    """The position in the colour scale, 0 to 255, of the middle of a cell."""
    width = (MAP_RIGHT - LEFT) / len(table.names)
    first, after = rows.span(row)
    colour = image.getpixel((LEFT + round((column + 0.5) * width), (first + after - 1) // 2))
    return COLOURS.tolist().index(list(colour))


def counted(users: list[list[int]]) -> LabelTable:
    counter = LabelCounter()
    for number, labels in enumerate(users):
        counter.add(number, labels)
    return counter.table()


def bar_length(image: Image.Image, rows: Rows, row: int) -> int:
    """How many pixels a user's bar is long."""
    first, after = rows.span(row)
    y, x = (first + after - 1) // 2, BARS_LEFT + 3
    while image.getpixel((x, y)) == BAR_RGB:
        x += 1
    return x - 1 - BARS_LEFT


@pytest.mark.parametrize("users", [1, 3, 100, 500, 2_000])
@pytest.mark.parametrize("classes", [2, 60])
@pytest.mark.parametrize("clusters", [None, 1, 7])
def test_cells_and_bars_stand_for_their_numbers(users: int, classes: int, clusters: int | None) -> None:
    rng = np.random.default_rng(1)
    table = counted([rng.integers(0, classes, rng.integers(1, 300)).tolist() for _ in range(users)])
    groups = None if clusters is None else rng.integers(0, clusters, users)
    image, rows = draw_labels(table, groups, "synthetic"), arrange(table, groups)
    assert len(rows.users) == min(users, 500)
    everyone = table.rows(range(users))
    top = scale_top(table.rows(rows.users))
    edges = {group[1] for group in rows.groups} | {group[2] - 1 for group in rows.groups}
    for row in range(0, len(rows.users), 37):
        if row in edges and rows.height / len(rows.users) < 12:
            continue  # the line between two clusters covers it
        user = rows.users[row]
        for column in range(0, len(table.names), 7):
            assert abs(shares_at(image, table, rows, row, column) - everyone[user, column] / top * 255) <= 0.51
        expected = bar_end(int(table.sizes[user]), int(table.sizes[list(rows.users)].max())) - BARS_LEFT
        assert abs(bar_length(image, rows, row) - max(expected, 2)) <= 1
    border = [image.getpixel((x, y)) for x in range(image.width) for y in (0, image.height - 1)]
    assert set(border) == {WHITE_RGB}, "nothing is cut off"


def test_rows_are_in_the_order_of_cluster_and_majority_class() -> None:
    table = counted([[2, 2, 1], [0], [1, 1], [2, 2], [0, 0, 1]])
    assert arrange(table, None).users == [1, 4, 2, 3, 0]
    with_clusters = arrange(table, np.array([1, 0, 0, 0, 1]))
    assert with_clusters.users == [1, 2, 3, 4, 0]
    assert with_clusters.groups == [(0, 0, 3), (1, 3, 5)]


def test_thinned_rows_are_picked_evenly() -> None:
    rows = arrange(counted([[number % 4] for number in range(2_000)]), None)
    majority = [user % 4 for user in rows.users]
    assert [majority.count(label) for label in range(4)] == [125] * 4
    assert majority == sorted(majority)


def test_of_classes_that_a_user_has_as_much_of_the_first_is_their_majority() -> None:
    table = counted([[2, 2, 0, 0], [1], [2, 1, 1, 2, 0], [2]])
    assert arrange(table, None).users == [0, 1, 2, 3]


def test_users_without_samples_have_empty_rows() -> None:
    table = counted([[1, 1], [], [0]])
    image, rows = draw_labels(table, None, "x"), arrange(table, None)
    row = rows.users.index(1)
    assert row == 2, "they come last"
    assert {shares_at(image, table, rows, row, column) for column in (0, 1)} == {0}


def test_the_scale_ends_where_the_shares_do() -> None:
    assert [scale_top(np.array([[largest]])) for largest in (0.01, 0.05, 0.13, 0.3, 0.51, 1.0)] == [
        *(0.05, 0.05, 0.2, 0.5, 1.0, 1.0)
    ]


def test_colours_get_darker_in_grey_too() -> None:
    greys = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in COLOURS.astype(float)]
    assert all(darker < lighter + 0.5 for lighter, darker in pairwise(greys))
    assert greys[0] - greys[-1] > 200


def test_bars_are_on_a_logarithmic_axis() -> None:
    ends = [bar_end(size, 900) for size in (1, 10, 100, 1000)]
    assert ends == [BARS_LEFT + round(third * (BARS_RIGHT - BARS_LEFT) / 3) for third in range(4)]


def test_every_class_is_named_where_there_is_room() -> None:
    iris = ClassNames.of(["Iris-setosa", "Iris-versicolor", "Iris-virginica", "a", "b"])
    assert (iris.every, iris.upright) == (1, True)
    assert iris.texts[1] == "Iris-versicolor"
    assert ClassNames.of(["a", "b"]).upright is False
    numbers = ClassNames.of([*range(60)])
    assert (numbers.upright, numbers.every > 1) == (False, True)
    assert ClassNames.of(["", " "]).texts == ['""', '" "']


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (7, "7"),
        (-(10**14), "-100000000000000"),
        (10**15, "100... (16 digits)"),
        (10**5_000 - 1, "999... (5,000 digits)"),
        (-(10**5_000), "-100... (5,001 digits)"),
        ("é", "é"),
    ],
    ids=lambda value: "label" if isinstance(value, int) else value,
)
def test_numbers_of_many_digits_are_named_by_the_first(label: Label, text: str) -> None:
    assert label_text(label) == text


def test_labels_of_any_length_can_be_drawn() -> None:
    table = counted([[10**5_000, 3], ["x" * 100_000, "\ud800", "", 10**5_000]])  # type: ignore[list-item]
    image = draw_labels(table, None, "x" * 100_000)
    border = [image.getpixel((x, y)) for x in range(image.width) for y in (0, image.height - 1)]
    assert set(border) == {WHITE_RGB}


def test_classes_beyond_the_most_common_are_left_out() -> None:
    table = counted([[*range(400), *range(100, 400)]])
    image, rows = draw_labels(table, None, "x"), arrange(table, None)
    assert image.width == 1280
    assert len(rows.users) == 1


# models


def truth_of(models: NDArray[Any], sizes: list[int], clusters: list[int] | None = None) -> Truth:
    """Models without a common basis, [users, D+1, C]."""
    users = [str(number) for number in range(len(sizes))]
    parameters = {"prob_clusters": [1 / 3] * 3} if clusters is not None else {}
    cluster = None if clusters is None else np.array(clusters)
    return Truth(Path("truth.npz"), users, sizes, parameters, cluster, None, None, models)


def test_components_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(2)
    for users, classes in ((50, 3), (6, 3), (2, 2)):
        models = rng.normal(size=(users, 4, classes)) * np.arange(1, classes + 1)
        coordinates, shares = principal_components(truth_of(models, [1] * users))
        expected = PCA(2).fit(models.reshape(users, -1))
        assert shares == pytest.approx(expected.explained_variance_ratio_, abs=1e-9)
        transformed = expected.transform(models.reshape(users, -1))
        np.testing.assert_allclose(np.abs(coordinates), np.abs(transformed), atol=1e-8)


def test_a_common_basis_gives_the_same_components() -> None:
    rng = np.random.default_rng(3)
    basis, info = rng.normal(size=(5, 3, 2)), rng.normal(size=(20, 2))
    shared = Truth(Path("t"), [str(user) for user in range(20)], [1] * 20, {}, None, basis, info, None)
    coordinates, shares = principal_components(shared)
    alone = principal_components(truth_of(true_models(shared, range(20)), [1] * 20))
    np.testing.assert_allclose(np.abs(coordinates), np.abs(alone[0]), atol=1e-8)
    np.testing.assert_allclose(shares, alone[1], atol=1e-9)
    assert shares.sum() == pytest.approx(1)


def test_models_on_a_line_and_models_alike_have_no_such_components() -> None:
    line = np.arange(4.0)[:, np.newaxis, np.newaxis] * np.ones((1, 3, 2))
    coordinates, shares = principal_components(truth_of(line, [1] * 4))
    assert shares.tolist() == [pytest.approx(1), 0]
    assert not coordinates[:, 1].any()
    assert principal_components(truth_of(np.ones((4, 3, 2)), [1] * 4))[1].tolist() == [0, 0]


def blobs(image: Image.Image, colour: tuple[int, ...]) -> int:
    """How many pixels of the plot have about this colour: marks are a little transparent."""
    plot = np.asarray(image.crop((152, 112, 949, 829)), float)
    return int((np.abs(plot - mixed(colour)).max(axis=2) <= 3).sum())


def mixed(colour: tuple[int, ...]) -> NDArray[np.float64]:
    return np.array(colour) * 215 / 255 + 255 * 40 / 255


def test_marks_have_their_clusters_colour_and_area_by_samples() -> None:
    corners = np.array([[0, 0], [0, 9], [9, 0]], float).reshape(3, 1, 2)
    image = draw_models(truth_of(corners, [400, 100, 400], [0, 1, 2]), "x")
    areas = [blobs(image, ImageColor.getrgb(colour)) for colour in MARK_COLOURS[:3]]
    assert areas[0] / areas[1] == pytest.approx(4, rel=0.2)
    assert areas[0] / areas[2] == pytest.approx(1, rel=0.2), "shapes of one area"


@pytest.mark.parametrize("users", [1, 2, 3, 100, 10_000])
@pytest.mark.parametrize("clusters", [0, 1, 3])
def test_any_number_of_models_fits(users: int, clusters: int) -> None:
    rng = np.random.default_rng(4)
    numbers = rng.integers(0, clusters, users).tolist() if clusters else None
    sizes = rng.integers(1, 1000, users).tolist()
    image = draw_models(truth_of(rng.normal(size=(users, 2, 2)), sizes, numbers), "synthetic")
    assert image.size == SIZE
    border = [image.getpixel((x, y)) for x in range(image.width) for y in (0, image.height - 1)]
    border += [image.getpixel((x, y)) for y in range(image.height) for x in (0, image.width - 1)]
    assert set(border) == {WHITE_RGB}


def test_ten_thousand_marks_are_no_solid_mass() -> None:
    """Where models lie denser it is darker, and marks of many samples are larger than those of few."""
    assert mark_opacity(200) == 215 > mark_opacity(1_000) > mark_opacity(10_000) > 0
    rng = np.random.default_rng(8)
    truth = truth_of(rng.normal(size=(10_000, 2, 2)), rng.integers(1, 1_000, 10_000).tolist())
    plot = np.asarray(draw_models(truth, "x").crop((152, 112, 949, 829)).convert("L"), float)
    middle, edge = plot[258:458, 300:500], plot[100:200, 300:500]
    assert len(np.unique(plot)) > 50
    assert middle.mean() < edge.mean() - 20
    for users in (10, 1_000, 10_000):
        assert mark_radius(1_000, 1_000, users) >= 5 * mark_radius(5, 1_000, users)


def test_clusters_differ_in_shape_or_clearly_in_grey() -> None:
    pairs = {(MARK_COLOURS[number % len(MARK_COLOURS)], SHAPES[number % len(SHAPES)]) for number in range(40)}
    assert len(pairs) == 40
    assert len({SHAPES[number % len(SHAPES)] for number in range(5)}) == 5


@pytest.mark.parametrize("users", [1, 2, MOST_MARKS, MOST_MARKS + 1, 3 * MOST_MARKS + 7, 10**7])
def test_marks_are_of_evenly_picked_users(users: int) -> None:
    picked = evenly_picked(users)
    assert len(picked) == min(users, MOST_MARKS)
    assert picked[0] == 0
    assert picked[-1] < users
    steps = np.diff(picked)
    assert len(steps) == 0 or 1 <= steps.min() <= steps.max() <= steps.min() + 1


def test_picture_of_many_models_says_how_many_it_shows() -> None:
    rng = np.random.default_rng(0)
    few, many = ((rng.normal(size=(users, 2, 2)), [5] * users) for users in (MOST_MARKS, MOST_MARKS + 1))
    notes = [draw_models(truth_of(*models), "x").crop((150, 70, 950, 104)).convert("L") for models in (few, many)]
    assert notes[0].getextrema() == (255, 255)
    assert notes[1].getextrema()[0] < 100
