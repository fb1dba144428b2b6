"""Where a function of the API runs, and what it shows meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from fedsynth.engine import Progress
from fedsynth.pipeline.run import Bar, no_bar


def choose_bar(progress: bool) -> Bar:
    """Return what shows a bar, in a notebook or on standard error, or nothing."""
    return show_bar if progress else no_bar


@contextlib.contextmanager
def show_bar(what: str, users: int) -> Iterator[Progress]:
    """Show a bar of users; users: 0 if not known."""
    from tqdm.auto import tqdm  # looks for a notebook when it is imported

    with tqdm(total=users or None, desc=what, unit="user") as bar:

        def advance(users: int) -> None:
            bar.update(users)

        yield advance


def choose_teller(progress: bool) -> Callable[[], AbstractContextManager[Callable[[str], None]]]:
    """Return what shows in words what is being tried, or nothing."""
    return _show_words if progress else lambda: nullcontext(lambda text: None)


@contextlib.contextmanager
def _show_words() -> Iterator[Callable[[str], None]]:
    from tqdm.auto import tqdm

    with tqdm(desc="solving", unit="try") as bar:

        def tell(text: str) -> None:
            bar.set_description(f"solving {text}", refresh=False)
            bar.update()

        yield tell
