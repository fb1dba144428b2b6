"""Files that are not what LEAF's format says, and options that make no sense: one sentence, and nothing is changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import contents, fedsynth

GOOD: dict[str, Any] = {
    "users": ["ann", "bob", "cat"],
    "num_samples": [2, 1, 3],
    "user_data": {
        "ann": {"x": [[1.5, 2.0], [0.25, -1e-05]], "y": [0, 1]},
        "bob": {"x": ['a {string} with "quotes" and \\'], "y": [{"k": [None, True]}]},
        "cat": {"x": [[], {}, "é\u2028"], "y": [1, 2, 3]},
    },
}
TEXT = json.dumps(GOOD)
CHAIN = ("preprocess", "-s", "--sf", 1.0, "-k", 0, "-t", "--smplseed", 1, "--spltseed", 2)
DEEP = 10_000


def put(cwd: Path, data: bytes | str) -> None:
    file = cwd / "data/all_data/all_data.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)


def sentence(cwd: Path, *args: object, status: int = 1) -> str:
    """Run a command that must fail; return the one line that it says."""
    before = contents(cwd)
    result = fedsynth(cwd, *args, check=None)
    assert result.returncode == status, f"{result.returncode}: {result.stdout}{result.stderr}"
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fedsynth: ")
    assert contents(cwd) == before
    return lines[0]


def refused(cwd: Path, data: bytes | str) -> str:
    """Return what preprocess says of a file, when stats says the same."""
    put(cwd, data)
    message = sentence(cwd, *CHAIN)
    assert "data/all_data/all_data.json: " in message
    assert sentence(cwd, "stats") == message
    return message


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    content = json.loads(TEXT)
    change(content)
    return json.dumps(content)


def test_good_file_is_accepted(tmp_path: Path) -> None:
    """Otherwise all others would prove nothing."""
    put(tmp_path, TEXT)
    fedsynth(tmp_path, *CHAIN)
    fedsynth(tmp_path, "stats")


def at_many(size: int, number: int) -> list[int]:
    """Offsets spread over a text, the same every time."""
    return sorted(random.Random(size).sample(range(size), number))


@pytest.mark.parametrize("size", [1, 2, 9, len(TEXT) - 1, len(TEXT) - 2, *at_many(len(TEXT), 12)])
def test_truncated_file_is_refused_with_the_byte(size: int, tmp_path: Path) -> None:
    put(tmp_path, TEXT[:size])
    message = sentence(tmp_path, *CHAIN)
    assert "data/all_data/all_data.json: " in message
    assert "byte" in message


@pytest.mark.parametrize("at", at_many(len(TEXT), 12))
def test_byte_that_is_no_text_is_refused(at: int, tmp_path: Path) -> None:
    data = bytearray(TEXT.encode())
    data[at] = 0xFF
    put(tmp_path, bytes(data))
    assert "data/all_data/all_data.json: " in sentence(tmp_path, *CHAIN)


@pytest.mark.parametrize("char", ["\x00", "}", "]", "[", ",", '"', "\\", "\n"])
def test_misplaced_character_never_crashes(char: str, tmp_path: Path) -> None:
    """It may make other text that is right, such as a comma in a string."""
    for number, at in enumerate(at_many(len(TEXT), 4)):
        cwd = tmp_path / str(number)
        put(cwd, TEXT[:at] + char + TEXT[at:])
        result = fedsynth(cwd, *CHAIN, check=None)
        assert result.returncode in (0, 1)
        assert "Traceback" not in result.stderr
        if result.returncode == 1:
            assert sorted(contents(cwd / "data")) == ["all_data/all_data.json"]


BAD_FILES: dict[str, tuple[bytes | str, tuple[str, ...]]] = {
    "empty": ("", ("byte 0",)),
    "white space": (" \n", ("byte 2",)),
    "byte order mark alone": (b"\xef\xbb\xbf", ("byte 3",)),
    "not utf-8": (TEXT.encode().replace(b"string", b"str\xffng"), ("bob", "UTF-8", "byte")),
    "utf-16": (TEXT.encode("utf-16"), ("byte 0",)),
    "latin-1 user": (TEXT.replace("ann", "\u00e4nn").encode("latin-1", "replace"), ("byte",)),
    "control character in a string": (TEXT.replace("string", "str\ting"), ("bob", "byte")),
    "NaN": (TEXT.replace("1.5", "NaN"), ("ann", "NaN", "byte")),
    "Infinity": (TEXT.replace("1.5", "Infinity"), ("ann", "Infinity", "byte")),
    "-Infinity": (TEXT.replace("1.5", "-Infinity"), ("ann", "Infinity", "byte")),
    "NaN beside a surrogate": (TEXT.replace("1.5", 'NaN, "\\ud800"'), ("ann", "NaN")),
    "NaN in hierarchies": (TEXT.replace('"num_s', '"hierarchies": [NaN, 1, 2], "num_s'), ("NaN",)),
    "NaN in num_samples": (TEXT.replace("[2, 1, 3]", "[2, NaN, 3]"), ("num_samples",)),
    "leading zero": (TEXT.replace("1.5", "01.5"), ("ann", "byte")),
    "single quotes": (TEXT.replace('"users"', "'users'"), ("byte 1",)),
    "comma too many": (TEXT.replace("[0, 1]", "[0, 1,]"), ("ann", "byte")),
    "comma missing": (TEXT.replace("[0, 1]", "[0 1]"), ("ann", "byte")),
    "text after the end": (TEXT + "x", (f"byte {len(TEXT)}",)),
    "two documents": (TEXT + TEXT, (f"byte {len(TEXT)}",)),
    "list": (f"[{TEXT}]", ("byte 0",)),
    "number": ("3", ("byte 0",)),
    "null": ("null", ("byte 0",)),
    "user twice": (changed(lambda c: c.update(users=["ann", "bob", "ann"])), ("ann", "twice")),
    "user twice in data": (TEXT.replace('"cat": ', '"ann": '), ("ann", "twice")),
    "count too large": (changed(lambda c: c.update(num_samples=[2, 2, 3])), ("bob", "2", "1")),
    "count too small": (changed(lambda c: c.update(num_samples=[1, 1, 3])), ("ann", "1", "2")),
    "count negative": (changed(lambda c: c.update(num_samples=[2, -1, 3])), ("-1",)),
    "count missing": (changed(lambda c: c.update(num_samples=[2, 1])), ("3", "2", "num_samples")),
    "counts as text": (changed(lambda c: c.update(num_samples=["2", "1", "3"])), ("num_samples", "'2'")),
    "counts as fractions": (changed(lambda c: c.update(num_samples=[2.5, 1, 3])), ("num_samples", "2.5")),
    "counts as truth": (changed(lambda c: c.update(num_samples=[2, True, 3])), ("num_samples", "True")),
    "counts as an object": (changed(lambda c: c.update(num_samples={"ann": 2})), ("num_samples", "dict")),
    "count of 5000 digits": (TEXT.replace("[2,", f"[{'2' * 5000},"), ("byte",)),
    "x longer": (changed(lambda c: c["user_data"]["ann"]["x"].append(1)), ("ann", "3", "2")),
    "y longer": (changed(lambda c: c["user_data"]["ann"]["y"].append(1)), ("ann", "2", "3")),
    "no x": (changed(lambda c: c["user_data"]["ann"].pop("x")), ("ann", '"x"')),
    "no y": (changed(lambda c: c["user_data"]["ann"].pop("y")), ("ann", '"y"')),
    "x no list": (changed(lambda c: c["user_data"]["ann"].update(x={})), ("ann", '"x"')),
    "y a string": (changed(lambda c: c["user_data"]["ann"].update(y="ab")), ("ann", '"y"')),
    "user a list": (changed(lambda c: c["user_data"].update(ann=[1, 2])), ("ann",)),
    "user a list with a surrogate": (changed(lambda c: c["user_data"].update(ann=["\ud800"])), ("ann",)),
    "user a surrogate": (changed(lambda c: c["user_data"].update(ann="\ud800")), ("ann",)),
    "user null": (changed(lambda c: c["user_data"].update(ann=None)), ("ann",)),
    "user without data": (changed(lambda c: c["user_data"].pop("cat")), ("cat", "user_data")),
    "data without user": (changed(lambda c: (c["users"].pop(), c["num_samples"].pop())), ("cat", "users")),
    "no users": (changed(lambda c: c.pop("users")), ('"users"',)),
    "no num_samples": (changed(lambda c: c.pop("num_samples")), ('"num_samples"',)),
    "no user_data": (changed(lambda c: c.pop("user_data")), ('"user_data"',)),
    "users an object": (changed(lambda c: c.update(users={"ann": 1})), ('"users"', "dict")),
    "users a string": (changed(lambda c: c.update(users="abc")), ('"users"', "str")),
    "users numbers": (changed(lambda c: c.update(users=[1, 2, 3])), ('"users"', "1")),
    "users nested": (changed(lambda c: c.update(users=[["ann"], "bob", "cat"])), ('"users"', "ann")),
    "user_data a list": (changed(lambda c: c.update(user_data=[1, 2, 3])), ("byte",)),
    "user_data null": (changed(lambda c: c.update(user_data=None)), ("byte",)),
    "hierarchies too short": (changed(lambda c: c.update(hierarchies=["a"])), ("hierarchies", "1", "3")),
    "hierarchies a string": (changed(lambda c: c.update(hierarchies="abc")), ("hierarchies", "str")),
    "deep sample": (TEXT.replace("1.5", "[" * DEEP + "]" * DEEP), ("ann", "deep")),
    "deep objects": (TEXT.replace("1.5", '{"a": ' * DEEP + "1" + "}" * DEEP), ("ann", "deep")),
    "deep sample, never closed": (TEXT.replace("1.5", "[" * DEEP), ("ann", "deep")),
    "deep beside a surrogate": (TEXT.replace("1.5", '"\\ud800", ' + "[" * DEEP + "]" * DEEP), ("ann", "deep")),
    "deep key of a user": (TEXT.replace('"y": [0', '"z": ' + "[" * DEEP + "]" * DEEP + ', "y": [0'), ("ann", "deep")),
    "deep user": (TEXT.replace('"ann": {', '"ann": ' + "[" * DEEP + "]" * DEEP + ', "dan": {'), ("ann",)),
    "deep user_data": ('{"user_data": ' + "[" * DEEP + "]" * DEEP + "}", ("byte",)),
    "deep head": (TEXT.replace('"num_s', '"hierarchies": ' + "[" * DEEP + "]" * DEEP + ', "num_s'), ("byte",)),
    "deep key of the head": ('{"z": ' + '{"a":' * DEEP + "1" + "}" * DEEP + "," + TEXT[1:], ("byte",)),
    "deep document": ("[" * DEEP + "]" * DEEP, ("byte 0",)),
    "deep, never closed": ('{"a": ' * DEEP, ("byte",)),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    data, words = BAD_FILES[name]
    message = refused(tmp_path, data)
    for word in words:
        assert word in message.partition("all_data.json: ")[2]


@pytest.mark.parametrize("depth", [300, 480, 900, 930, 960, 980, 990])
def test_hierarchies_as_deep_as_can_be_read_can_be_written(depth: int, tmp_path: Path) -> None:
    """Or are refused: nothing in between."""
    put(tmp_path, TEXT.replace('"num_s', f'"hierarchies": [{"[" * depth}{"]" * depth}, 1, 2], "num_s'))
    result = fedsynth(tmp_path, *CHAIN, check=None)
    assert result.returncode in (0, 1)
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_number_of_any_length_beside_a_surrogate_is_a_sample(tmp_path: Path) -> None:
    """Python alone refuses to read numbers of more than 4,300 digits; nothing needs to read them."""
    number = "7" * 5000
    put(tmp_path, TEXT.replace("[1.5, 2.0]", f'["\\ud800", {number}]'))
    fedsynth(tmp_path, "preprocess", "-k", 0)
    assert number in (tmp_path / "data/rem_user_data/all_data_keep_0.json").read_text()


def test_byte_order_mark_is_accepted_and_dropped(tmp_path: Path) -> None:
    put(tmp_path, b"\xef\xbb\xbf" + TEXT.encode())
    fedsynth(tmp_path, "stats")
    fedsynth(tmp_path, "preprocess", "-k", 0)
    assert (tmp_path / "data/rem_user_data/all_data_keep_0.json").read_text() == TEXT


def test_user_names_with_line_breaks_stay_on_one_line(tmp_path: Path) -> None:
    assert "\\n" in refused(tmp_path, changed(lambda c: c.update(users=["ann", "bob", "a\nb"])))


def test_later_file_that_is_bad_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    put(tmp_path, TEXT)
    (tmp_path / "data/all_data/more.json").write_text(TEXT[:100])
    assert "data/all_data/more.json: " in sentence(tmp_path, *CHAIN)
    assert "data/all_data/more.json: " in sentence(tmp_path, "stats")


def test_file_name_that_is_not_utf8_is_kept(tmp_path: Path) -> None:
    put(tmp_path, TEXT)
    folder = tmp_path / "data/all_data"
    try:
        (folder / "all_data.json").rename(folder / "caf\udce9.json")
    except (OSError, UnicodeError):
        pytest.skip("this file system has UTF-8 names only")
    fedsynth(tmp_path, *CHAIN)
    assert (tmp_path / "data/train/caf\udce9_niid_0_keep_0_train_9.json").exists()
    fedsynth(tmp_path, "preprocess", "--verify", "meta/dir-checksum.md5")


@pytest.mark.parametrize("command", [CHAIN, ("stats",)], ids=["preprocess", "stats"])
def test_missing_and_empty_folders_are_named(command: tuple[object, ...], tmp_path: Path) -> None:
    assert "data" in sentence(tmp_path, *command)
    (tmp_path / "data").mkdir()
    assert "data/all_data: " in sentence(tmp_path, *command)
    (tmp_path / "data/all_data").mkdir()
    assert "data/all_data: " in sentence(tmp_path, *command)
    (tmp_path / "data/all_data/notes.txt").write_text("no data")
    assert "no .json file" in sentence(tmp_path, *command)


@pytest.mark.parametrize("command", ["preprocess -k 0", "preprocess -s", "preprocess -s iid", "preprocess -t", "stats"])
def test_file_without_users_is_an_error(command: str, tmp_path: Path) -> None:
    put(tmp_path, '{"users": [], "num_samples": [], "user_data": {}}')
    assert "data/all_data: " in sentence(tmp_path, *command.split())


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        (("-k", 4), "rem_user_data"),
        (("-s", "niid", "--sf", 0.1), "sampled_data"),
        (("-s", "iid", "--sf", 0.1), "sampled_data"),
        (("-t", "user", "--tf", 0.2), "train"),
        (("-t", "sample", "--name", "shakespeare"), "train"),
    ],
    ids=str,
)
def test_empty_result_is_an_error_before_anything_is_written(
    options: tuple[object, ...], folder: str, tmp_path: Path
) -> None:
    put(tmp_path, TEXT)
    message = sentence(tmp_path, "preprocess", *options)
    assert "data/all_data: no samples are left" in message
    assert folder in message
    assert sorted(path.name for path in (tmp_path / "data").iterdir() if path.name != ".fedsynth") == ["all_data"]


@pytest.mark.parametrize("method", ["user", "sample"])
def test_single_user_with_one_sample_can_not_be_split(method: str, write_leaf: Any, tmp_path: Path) -> None:
    write_leaf({"a": ([1], [1])})
    assert "no samples are left" in sentence(tmp_path, "preprocess", "-t", method)


def test_failing_stage_ends_the_run_and_keeps_the_ones_before(tmp_path: Path) -> None:
    put(tmp_path, TEXT)
    result = fedsynth(tmp_path, "preprocess", "-s", "--sf", 1.0, "-k", 9, "-t", check=1)
    assert "rem_user_data" in result.stderr
    assert sorted(contents(tmp_path / "data")) == ["all_data/all_data.json", "sampled_data/all_data_niid_0.json"]


OPTIONS: list[tuple[str, tuple[str, ...]]] = [
    ("preprocess -t -tf 0.8", ("-tf", "--tf")),
    ("preprocess -s -sf 0.8", ("-sf", "--sf")),
    ("preprocess -s --sfx 0.8", ("--sfx", "--sf")),
    ("preprocess -s --smplsed 3", ("--smplsed", "--smplseed")),
    ("preprocess -s --sm 3", ("--sm",)),
    ("preprocess -s foo", ("-s", "foo", "niid", "iid")),
    ("preprocess -t foo", ("-t", "foo", "sample", "user")),
    ("preprocess -s niid extra", ("extra",)),
    ("preprocess -k -1", ("-1",)),
    ("preprocess -k=-1", ("-1",)),
    ("preprocess -k x", ("-k", "x")),
    ("preprocess -k 1.5", ("-k", "1.5")),
    ("preprocess -s --sf 0", ("--sf", "0")),
    ("preprocess -s --sf 2", ("--sf", "2")),
    ("preprocess -s --sf=-0.5", ("--sf", "-0.5")),
    ("preprocess -s --sf nan", ("--sf", "nan")),
    ("preprocess -s --sf inf", ("--sf", "inf")),
    ("preprocess -s --sf x", ("--sf", "x")),
    ("preprocess -t --tf 1", ("--tf", "1")),
    ("preprocess -t --tf 0", ("--tf", "0")),
    ("preprocess -t --tf nan", ("--tf", "nan")),
    ("preprocess --iu 0.1", ("--iu", "0.1", "iid")),
    ("preprocess -s niid --iu 0.1", ("--iu", "0.1", "iid")),
    ("preprocess -s iid --iu 0", ("--iu", "0")),
    ("preprocess -s iid --iu nan", ("--iu", "nan")),
    ("preprocess -s iid --iu inf", ("--iu", "inf")),
    ("preprocess -s --smplseed x", ("--smplseed", "x")),
    ("preprocess -s --smplseed", ("--smplseed",)),
    ("sample -s foo", ("-s", "foo")),
    ("sample --iu 0.1", ("--iu", "iid")),
    ("sample -k 3", ("-k",)),
    ("remove-users -k -3", ("-3",)),
    ("split --tf 7", ("--tf", "7")),
    ("split -s niid", ("-s",)),
    ("stats --foo", ("--foo",)),
    ("stats all_data more", ("more",)),
    ("verify", ("CHECKSUMS",)),
    ("clean --all", ("--all",)),
    ("unknown", ("unknown",)),
    ("--unknown", ("--unknown",)),
    ("generate", ("-num-tasks",)),
    ("generate -num-tasks", ("-num-tasks",)),
    ("generate -num-tasks 0", ("tasks", "0")),
    ("generate -num-tasks -5", ("-5",)),
    ("generate -num-tasks x", ("-num-tasks", "x")),
    ("generate -num-task 5", ("-num-task", "-num-tasks")),
    ("generate -num-tasks 5 -num-classes 0", ("classes", "0")),
    ("generate -num-tasks 5 -num-dim 0", ("dim", "0")),
    ("generate -num-tasks 5 -seed -1", ("-1",)),
    ("generate -num-tasks 5 -seed 4294967296", ("seed", "4294967296")),
    ("generate -num-tasks 5 -prob-clusters 0.5", ("0.5",)),
    ("generate -num-tasks 5 -prob-clusters 0.5,0.6", ("0.5,0.6", "1.1")),
    ("generate -num-tasks 5 -prob-clusters 1.5,-0.5", ("1.5,-0.5",)),
    ("generate -num-tasks 5 -prob-clusters 1,0", ("1.0,0.0",)),
    ("generate -num-tasks 5 -prob-clusters nan,1", ("nan",)),
    ("generate -num-tasks 5 -prob-clusters a,b", ("a,b",)),
    ("generate -num-tasks 5 -prob-clusters 0.5,", ("0.5,",)),
    ("generate -num-tasks 5 -prob-clusters 0.5 0.5", ("-prob-clusters 0.5,0.5",)),
    ("generate --prob-clusters=0.2, 0.3, 0.5 -num-tasks 5", ("--prob-clusters 0.2,0.3,0.5",)),
    ("generate -model shifts -num-tasks 2 -sizes 5 12", ("-sizes 5,12",)),
]


@pytest.mark.parametrize(("line", "words"), OPTIONS, ids=[line for line, _ in OPTIONS])
def test_wrong_option_ends_with_status_2_and_says_what_was_found(
    line: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    put(tmp_path, TEXT)
    message = sentence(tmp_path, *line.split(), status=2)
    for word in words:
        assert word in message
    assert not list((tmp_path / "data").glob(".*"))


def test_empty_command_line_shows_the_commands(tmp_path: Path) -> None:
    result = fedsynth(tmp_path, check=2)
    assert "preprocess" in result.stderr
    assert "Traceback" not in result.stderr
