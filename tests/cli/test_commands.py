"""What the commands take and print; what they do to files is in tests/pipeline and tests/test_goldens.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedsynth.cli.commands import fedsynth as group
from tests.commands import ROOT, contents, environment, fedsynth, generate
from tests.conftest import WriteLeaf


def test_options_without_values_mean_their_documented_defaults(tmp_path: Path) -> None:
    generate(tmp_path, 200)
    fedsynth(tmp_path, "preprocess", "-s", "--sf", "-k", "-t", "--tf", "--smplseed", "1", "--spltseed", "2")
    bare = contents(tmp_path / "data")
    explicit = "-s niid --sf 0.1 -k 10 -t sample --tf 0.9 --smplseed 1 --spltseed 2 --overwrite"
    fedsynth(tmp_path, "preprocess", *explicit.split())
    assert contents(tmp_path / "data") == bare
    assert "train/all_data_niid_1_keep_10_train_9.json" in bare


def test_preprocess_without_a_stage_says_how_to_ask_for_one(tmp_path: Path) -> None:
    generate(tmp_path)
    assert "name one or more with -s, -k, -t" in fedsynth(tmp_path, "preprocess").stdout
    assert (tmp_path / "meta/dir-checksum.md5").exists()  # as LEAF does


def test_bare_iu_is_one_percent(tmp_path: Path) -> None:
    generate(tmp_path, 200)
    fedsynth(tmp_path, "preprocess", "--iu", "-s", "iid")
    assert (tmp_path / "data/sampled_data/all_data_iid_01_1.json").exists()


def test_values_may_follow_an_equals_sign_and_options_any_order(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "--tf=0.5", "-t", "user", "--sf=0.5", "--spltseed=3", "-s", "niid")
    assert (tmp_path / "data/train/all_data_niid_5_train_5.json").exists()


@pytest.mark.parametrize("dashes", ["-", "--"])
def test_generator_takes_one_dash_or_two(dashes: str, tmp_path: Path) -> None:
    fedsynth(
        tmp_path, "generate", f"{dashes}num-tasks", 3, f"{dashes}num-dim=2", f"{dashes}data-dir", tmp_path / "there"
    )
    assert json.loads((tmp_path / "there/all_data/all_data.json").read_text())["users"] == ["0", "1", "2"]


def test_negative_seed_is_none(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-t", "--spltseed", "-1")
    assert int((tmp_path / "meta/split_seed.txt").read_text().splitlines()[1]) >= 0


def test_chosen_seeds_are_recorded_and_give_the_same_bytes_again(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-s", "niid", "--sf", "0.5", "-t", "sample")
    first = contents(tmp_path / "data")
    seeds = [(tmp_path / "meta" / f"{name}_seed.txt").read_text().splitlines()[1] for name in ("sampling", "split")]
    again = ["--smplseed", seeds[0], "--spltseed", seeds[1], "--overwrite"]
    fedsynth(tmp_path, "preprocess", "-s", "niid", "--sf", "0.5", "-t", "sample", *again)
    assert contents(tmp_path / "data") == first


def test_seed_files_are_leafs(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-s", "-t", "--smplseed", 12, "--spltseed", 34)
    assert (tmp_path / "meta/sampling_seed.txt").read_bytes() == (
        b"# sampling_seed used by sampling script - "
        b"supply as --smplseed to preprocess.sh or --seed to utils/sample.py\n12"
    )
    assert (tmp_path / "meta/split_seed.txt").read_bytes() == (
        b"# split_seed used by sampling script - "
        b"supply as --spltseed to preprocess.sh or --seed to utils/split_data.py\n34"
    )


def test_option_without_effect_is_pointed_out(tmp_path: Path) -> None:
    generate(tmp_path)
    result = fedsynth(tmp_path, "preprocess", "--sf", "0.5", "--tf", "0.5", "-k", "1")
    assert "--sf 0.5 has no effect without -s" in result.stderr
    assert "--tf 0.5 has no effect without -t" in result.stderr


@pytest.mark.parametrize(
    ("args", "nearest"),
    [
        (["-tf", "0.8"], "--tf"),
        (["--smpl-seed", "1"], "--smplseed"),
        (["-sf=1"], "--sf"),
        (["--overwite"], "--overwrite"),
    ],
)
def test_unknown_option_is_an_error_that_suggests_the_nearest(args: list[str], nearest: str, tmp_path: Path) -> None:
    result = fedsynth(tmp_path, "preprocess", *args, check=2)
    assert f"did you mean {nearest}?" in result.stderr


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("-k 5 --spltseed 4", "--spltseed 4 has no effect without -t"),
        ("-k 5 --smplseed 4", "--smplseed 4 has no effect without -s"),
        ("-k 5 --name shakespeare", "--name shakespeare has no effect without -t"),
        ("-k 5 --workers 2", "--workers 2 has no effect on data in one file; generate with -num-shards to have more"),
        ("-k 5 -workers 2", "-workers 2 has no effect on data in one file"),
        ("-k 5 --workers 2 --name synthetic", "--workers 2 has no effect on data in one file"),
    ],
)
def test_other_options_without_effect_are_pointed_out_too(line: str, note: str, tmp_path: Path) -> None:
    generate(tmp_path)
    message = fedsynth(tmp_path, "preprocess", *line.split()).stderr
    assert message.startswith(f"fedsynth: {note}")
    assert message.count("\n") == 1


def test_one_user_is_not_several(tmp_path: Path) -> None:
    generate(tmp_path, 1)
    assert "rem_user_data: 1 user, " in fedsynth(tmp_path, "preprocess", "-k", 5).stdout


def test_option_of_another_process_says_of_which(tmp_path: Path) -> None:
    message = fedsynth(tmp_path, "generate", "-num-tasks", 5, "-iid", check=2).stderr
    assert "-iid makes no sense with -model leaf" in message
    assert message.endswith("leave it out, or use -model fedprox\n")


@pytest.mark.parametrize("option", ["-noise", "-beta", "-mean-samples", "-min-samples", "-label-noise"])
def test_bounds_name_the_option(option: str, tmp_path: Path) -> None:
    model = {"-beta": "fedprox", "-label-noise": "shifts"}.get(option, "leaf")
    classes = ("-num-classes", 1) if model == "shifts" else ()
    value = {"-mean-samples": "nan", "-min-samples": 0, "-label-noise": 0.5}.get(option, "1e308")
    result = fedsynth(tmp_path, "generate", "-num-tasks", 5, "-model", model, *classes, option, value, check=2)
    assert result.stderr.startswith(f"fedsynth: {option} is ")


@pytest.mark.parametrize("dashes", ["-", "--"])
@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("verify sums {}data-dir=nowhere", "data-dir"),
        ("generate {}num-tasks 0", "num-tasks"),
        ("generate -num-tasks 5 {}seed=-5", "seed"),
    ],
)
def test_errors_name_options_as_they_were_typed(line: str, option: str, dashes: str, tmp_path: Path) -> None:
    (tmp_path / "sums").touch()
    message = fedsynth(tmp_path, *line.format(dashes).split(), check=None).stderr
    assert f" {dashes}{option}" in message


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("verify sums", " --data-dir"),
        ("generate -num-tasks 5 --workers 2", " -stream"),
        ("generate --num-tasks 5 --workers 2", " --stream"),
    ],
)
def test_options_that_were_not_typed_are_named_in_the_form_of_the_others(
    line: str, option: str, tmp_path: Path
) -> None:
    (tmp_path / "sums").touch()
    assert option in fedsynth(tmp_path, *line.split(), check=None).stderr


def test_users_left_out_are_counted_and_ten_are_named(tmp_path: Path, write_leaf: WriteLeaf) -> None:
    write_leaf({"large": ([1, 2], [1, 2]), **{f"small{number}": ([1], [1]) for number in range(12)}})
    result = fedsynth(tmp_path, "preprocess", "-t", "sample")
    assert "12 users" in result.stderr
    assert "small9, ..." in result.stderr
    assert "small10" not in result.stderr


def test_stages_are_commands_of_their_own(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "sample", "-s", "niid", "--sf", 1, "--smplseed", 1)
    fedsynth(tmp_path, "remove-users", "-k", 5)
    fedsynth(tmp_path, "split", "-t", "sample", "--tf", 0.6, "--spltseed", 2)
    one_by_one = contents(tmp_path / "data")
    chain = "-s niid --sf 1 -k 5 -t sample --tf 0.6 --smplseed 1 --spltseed 2 --overwrite"
    fedsynth(tmp_path, "preprocess", *chain.split())
    assert contents(tmp_path / "data") == one_by_one


def test_scripts_are_the_commands(tmp_path: Path) -> None:
    generate(tmp_path)
    for script, made in (("preprocess.sh", "data/rem_user_data"), ("stats.sh", "data/synthetic_hist.png")):
        arguments = ["-k", "5"] if script == "preprocess.sh" else []
        subprocess.run([ROOT / script, *arguments], cwd=tmp_path, env=environment(), check=True, capture_output=True)
        assert (tmp_path / made).exists()


@pytest.mark.parametrize("name", sorted(group.commands))
def test_every_command_has_help(name: str, tmp_path: Path) -> None:
    assert "Usage:" in fedsynth(tmp_path, name, "--help").stdout


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="terminals are POSIX's")
    import termios

    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    process = subprocess.Popen(
        [sys.executable, "-m", "fedsynth", "generate", "-num-tasks", "300"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(reader, 4096):
            shown += piece
    except OSError:
        pass  # the terminal's other end has closed
    assert process.wait(timeout=60) == 0
    assert b"generate" in shown
    assert b"user/s" in shown
    assert fedsynth(tmp_path, "generate", "-num-tasks", 300).stderr == ""


@pytest.mark.parametrize(("missing", "name"), [("numpy", "numpy"), ("msgspec", "msgspec"), ("PIL", "pillow")])
def test_what_a_wheel_lacks_is_installed_by_its_name(missing: str, name: str, tmp_path: Path) -> None:
    """Where there is no main.py: in an installed package, here one that is led to by a link."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/fedsynth").symlink_to(ROOT / "fedsynth")
    script = (
        f"import sys; sys.modules[{missing!r}] = None; from fedsynth.cli import main\n"
        "try: main(['generate', '-num-tasks', '3'])\n"
        "except SystemExit: main(['stats'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(tmp_path / "site")),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    expected = f"fedsynth: {missing} is not installed for {sys.executable}; run `pip install {name}`"
    assert result.stderr.splitlines()[-1] == expected


@pytest.mark.parametrize("missing", ["click", "msgspec", "numpy"])
def test_what_is_not_installed_is_one_sentence(missing: str, tmp_path: Path) -> None:
    """As for one who runs main.py in a fresh clone without the set-up."""
    script = f"import sys; sys.modules[{missing!r}] = None; from fedsynth.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "generate", "-num-tasks", "3"]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"fedsynth: {missing} is not installed for {sys.executable}; run `pip install")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
