"""The process that runs commands in forked children, and kills them: a fork starts in a fraction of Python's time.

It reads one job per line of standard input and answers each with a line. The children are whole processes, with workers
of their own where asked for; nothing is different in them but that the modules are imported already.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

PRELOADED = (
    "numpy.ma",
    "PIL.PngImagePlugin",
    "encodings.cp437",
    "fedsynth.cli.commands",
    "fedsynth.cli.console",
    "fedsynth.pipeline.generate",
    "fedsynth.pipeline.stats",
    "fedsynth.stats.figures",
    "fedsynth.federated",
)


def serve() -> None:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    child = os.fork()
    if not child:
        _be_the_command(job)
    ended = _wait(child, job["kill_after"] if job["kill_after"] is not None else job["timeout"])
    if not ended:
        if job["group"]:
            with contextlib.suppress(ProcessLookupError):  # it is so young that it leads no group yet
                os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    hung = not ended and job["kill_after"] is None
    if hung:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    return {"status": status, "seconds": time.monotonic() - began, "hung": hung}


def _wait(child: int, seconds: float) -> bool:
    """Whether the child ends in so many seconds."""
    watched = os.pidfd_open(child)
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


def _be_the_command(job: dict[str, Any]) -> None:
    status = 99
    try:
        os.setsid()
        os.chdir(job["cwd"])
        for number, name in ((1, "stdout"), (2, "stderr")):
            sink = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(sink, number)
            os.close(sink)
        os.environ.update(job["env"])
        if job["memory"]:
            _fail_for_lack_of_memory(*job["memory"])
        status = _call(job["args"])
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.settrace(None)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)


def _call(args: list[str]) -> int:
    if args[0] == "python":
        exec(compile(args[1], "script", "exec"), {"__name__": "script"})
        return 0
    from fedsynth.cli import main

    try:
        main(args)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def _fail_for_lack_of_memory(thread: int, line: int, mark: str) -> None:
    """Raise MemoryError at the n-th line of fedsynth's in a thread: 0 is the main one, the others as they start.

    The first module of the commands is left out: what fails before its `try` is Python's to report.
    """
    package = str(Path(sys.modules["fedsynth"].__file__ or "").parent)
    numbers: dict[int, int] = {threading.get_ident(): 0}
    counts = [0] * 64
    lock = threading.Lock()

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(package) or name.endswith("cli/__init__.py"):
            return None
        return trace_lines

    def trace_lines(frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            with lock:
                number = numbers.setdefault(threading.get_ident(), len(numbers))
            if number == thread:
                counts[number] += 1
                if counts[number] == line:
                    Path(mark).touch()
                    raise MemoryError
        return trace_lines

    threading.settrace(trace)
    sys.settrace(trace)


if __name__ == "__main__":
    serve()
