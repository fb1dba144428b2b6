"""Run fedsynth's commands as a user does: real processes in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def environment(**changes: str) -> dict[str, str]:
    """The tests' environment, with this checkout's package first."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **changes}


def fedsynth(cwd: Path, *args: object, check: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m fedsynth ARGS` in a folder. check: the exit status it must have, None for any."""
    command = [sys.executable, "-m", "fedsynth", *map(str, args)]
    options.setdefault("env", environment())
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, **options)
    if check is not None:
        assert result.returncode == check, f"{args}: {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def start(cwd: Path, *args: object, **options: Any) -> subprocess.Popen[str]:
    """Start `python -m fedsynth ARGS` in a folder, without waiting."""
    command = [sys.executable, "-m", "fedsynth", *map(str, args)]
    options.setdefault("env", environment())
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def generate(cwd: Path, num_tasks: int = 20, *args: object) -> Path:
    """Generate a small dataset and return its data folder."""
    fedsynth(cwd, "generate", "-num-tasks", num_tasks, *args)
    return cwd / "data"


def contents(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def appeared(folder: Path, pattern: str) -> bool:
    """Whether such a file is there now; what a command at work removes while it is looked for is not."""
    try:
        return any(folder.glob(pattern))
    except FileNotFoundError:
        return False


def peak_memory(cwd: Path, script: str) -> int:
    """Run a Python script in a folder and return its peak of resident memory, in bytes.

    Linux gives a child's `ru_maxrss` its parent's as a start, which with torch is larger than anything measured here.
    """
    ask = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
    command = [sys.executable, "-c", f"{script}\n{ask}"]
    result = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=True)
    return int(result.stdout.split()[-1]) * 1024


def tie_truth(truth: Path, *files: Path) -> None:
    """Make a ground truth that of other data, in these files: what nobody but a test should do."""
    import numpy as np

    from fedsynth.records.stamp import stamp_file
    from fedsynth.truth.file import checksum
    from fedsynth.truth.read import load_truth

    stamps = [stamp_file(file) for file in files]
    with np.load(truth) as content:
        arrays = dict(content)
    old = load_truth(truth)
    sums = [stamp.md5 for stamp in stamps]
    arrays["data_md5"], arrays["data_size"] = np.array(sums), np.array([stamp.size for stamp in stamps])
    arrays["checksum"] = np.array(checksum(old.user_ids, old.num_samples, sums, old.parameters))
    np.savez(truth, **arrays)


def leftovers(cwd: Path) -> list[str]:
    """What is in private folders but for what always stays, the mark and the lock."""
    found = (path.relative_to(cwd) for folder in cwd.glob("*/.fedsynth*") for path in folder.rglob("*"))
    return sorted(str(path) for path in found if path.name not in (".fedsynth", "lock"))
