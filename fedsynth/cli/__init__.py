"""The commands: the only code that knows click and exit statuses; everything else computes and returns."""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

OUT_OF_MEMORY = "out of memory; free some or raise its limit, use fewer workers, or split the data into smaller files"
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_MEMORY_MESSAGES = ("can't start new thread", "failed to map segment", "annot allocate memory")
"""How Python, NumPy and the system's loader of libraries say it, in errors of other kinds."""


def main(args: Sequence[str] | None = None, *, defaults: Mapping[str, Any] | None = None) -> NoReturn:
    """Run a command line and exit: 0 all done, 1 something failed, 2 a wrong option, 130 Ctrl-C.

    args: without the program's name, sys.argv's if None; defaults: by command, then by option. Results that standard
    output has no room for fail the command at its end, when all the rest is done; where it is closed, or nobody reads
    it any more (`| head -1`), the rest is silently dropped. While the process ends, Ctrl-C is ignored; a caller who
    catches SystemExit has it, and all process-wide state, as before.
    """
    status = 1
    try:
        with _as_a_program():
            status = _run(sys.argv[1:] if args is None else list(args), defaults)
    except BaseException as error:
        if not _lacks_memory(error):
            raise
        _write_error(OUT_OF_MEMORY)
    atexit.unregister(_ignore_interrupts)
    atexit.register(_ignore_interrupts)
    sys.exit(status)


@contextlib.contextmanager
def _as_a_program() -> Iterator[None]:
    """Set process-wide state as a command needs it, and restore it at the end."""
    interrupted, hook, threads = signal.getsignal(signal.SIGINT), threading.excepthook, os.environ.get(_BLAS_THREADS)
    os.environ.setdefault(_BLAS_THREADS, "1")  # for products as small as these its threads only spin
    threading.excepthook = _report_from_thread
    try:
        yield
    finally:
        threading.excepthook = hook
        if threads is None:
            os.environ.pop(_BLAS_THREADS, None)
        if signal.getsignal(signal.SIGINT) is not interrupted and interrupted is not None:
            signal.signal(signal.SIGINT, interrupted)


def _run(args: list[str], defaults: Mapping[str, Any] | None) -> int:
    from fedsynth.system import fill_standard_streams

    fill_standard_streams()
    try:
        _import_hashes()
        from fedsynth.cli.commands import fedsynth  # here, where Ctrl-C and what is not installed are one sentence
        from fedsynth.cli.output import close_output, show_usage

        if not args:  # versions of click differ in what they make of that
            show_usage(fedsynth)
            return 2
        result = fedsynth.main(args, prog_name="fedsynth", standalone_mode=False, default_map=defaults)
        close_output()
        return result if isinstance(result, int) else 0
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fedsynth"):
            raise
        _write_error(f"{error.name} is not installed for {sys.executable}; {_way_to_install(error.name or '')}")
        return 1
    except BaseException as error:
        if _lacks_memory(error):
            raise
        from fedsynth.cli.console import explain, warn
        from fedsynth.cli.output import close_output

        message, status = explain(error)
        warn(message)
        with contextlib.suppress(OSError):
            close_output()
        return status


def _way_to_install(module: str) -> str:
    """Return how to install a required module that is missing: in a clone, or elsewhere."""
    if Path(__file__).parents[2].joinpath("main.py").is_file():
        return "run `pip install -e .` where main.py is, as the README's first command does"
    return f"run `pip install {'pillow' if module == 'PIL' else module.partition('.')[0]}`"


def _import_hashes() -> None:
    """Import hashlib's libraries first: hashlib itself prints tracebacks when there is no memory to load them."""
    for name in ("_hashlib", "_blake2"):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether an error means that memory ran out, whatever its type. It may be raised at any line, here too."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if isinstance(error, (RuntimeError, ImportError, OSError)) and any(
            text in str(error) for text in _MEMORY_MESSAGES
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _write_error(message: str) -> None:
    """Write a message with as little memory as possible: no import, no buffer."""
    with contextlib.suppress(OSError):
        os.write(2, f"fedsynth: {message}\n".encode(errors="backslashreplace"))


def _report_from_thread(failed: threading.ExceptHookArgs) -> None:
    """Leave it to the main thread to report that memory ran out: it notices work that a thread has not done."""
    if not issubclass(failed.exc_type, MemoryError):
        threading.__excepthook__(failed)


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C once everything is done: it would only interrupt Python's own cleanup."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
