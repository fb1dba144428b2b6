"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number of things as one writes it: `1 user`, `1,000 users`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
