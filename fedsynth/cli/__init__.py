"""The commands: the only code that knows click, tqdm and exit statuses; everything else computes and returns."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


def main(args: Sequence[str] | None = None, *, defaults: Mapping[str, Any] | None = None) -> NoReturn:
    """Run a command line and exit: 0 all done, 1 something failed, 2 a wrong option, 130 Ctrl-C.

    args: without the program's name, sys.argv's if None; defaults: by command, then by option.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products as small as these its threads only spin
    status = 0
    try:
        from fedsynth.cli.commands import fedsynth  # here, where Ctrl-C and what is not installed are one sentence

        result = fedsynth.main(args, prog_name="fedsynth", standalone_mode=False, default_map=defaults)
        status = result if isinstance(result, int) else 0
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fedsynth"):
            raise
        advice = "run `pip install -e .` where main.py is, as the README's first command does"
        sys.exit(f"fedsynth: {error.name} is not installed for {sys.executable}; {advice}")
    except BaseException as error:
        from fedsynth.cli.console import explain, warn

        message, status = explain(error)
        warn(message)
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done and said: Ctrl-C would hit Python's own tidying up
    sys.exit(status)
