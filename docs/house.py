"""`python docs/house.py`: draw fedsynth's rooms and what they import, docs/house.svg, from the source.

Floors are those of tests/test_architecture.py; a line leads from a room down to each that it imports from, but for the
lowest floor, from which nearly all import.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.test_architecture import FLOORS  # noqa: E402 - not a package that is installed

WIDTH, FLOOR, ROOM, HEIGHT, TOP = 960, 112, 116, 44, 24
COLORS = ("#8a6d3b", "#2b8a3e", "#3b6ea8", "#7a4fa3", "#c8553d", "#444444", "#b0781f")
"""Of the lines out of a room, by its floor."""


def edges(package: Path) -> Mapping[str, set[str]]:
    """Return for each room the others that it imports from."""
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        found.setdefault(room, set()).update(other for other in imported(path) if other != room and other in FLOORS)
    return found


def imported(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("fedsynth."))


def draw(rooms: Mapping[str, set[str]]) -> str:
    """Return the picture. rooms: what each imports from."""
    shown = {room: others for room, others in rooms.items() if not room.startswith("__")}
    highest = max(FLOORS[room] for room in shown)
    corners = {}
    for floor in range(highest + 1):
        on_floor = [room for room in FLOORS if FLOORS[room] == floor and room in shown]
        gap = WIDTH / len(on_floor)
        for number, room in enumerate(on_floor):
            corners[room] = ((number + 0.5) * gap - ROOM / 2, TOP + (highest - floor) * FLOOR)
    height = TOP + highest * FLOOR + HEIGHT + TOP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for room in corners:
        for other in sorted(other for other in shown[room] & corners.keys() if FLOORS[other]):
            lines.append(line(corners[room], corners[other], COLORS[FLOORS[room] % len(COLORS)]))
    for room, (x, y) in corners.items():
        lines += [
            f'<rect x="{x:.0f}" y="{y}" width="{ROOM}" height="{HEIGHT}" rx="6" fill="white" '
            f'stroke="{COLORS[FLOORS[room] % len(COLORS)]}" stroke-width="2"/>',
            f'<text x="{x + ROOM / 2:.0f}" y="{y + HEIGHT / 2 + 5}" font-size="16" text-anchor="middle">{room}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def line(start: tuple[float, float], end: tuple[float, float], color: str) -> str:
    """Return a curve from the bottom of one room to the top of another."""
    x, y = start[0] + ROOM / 2, start[1] + HEIGHT
    to_x, to_y = end[0] + ROOM / 2, end[1]
    middle = (y + to_y) / 2
    path = f"M{x:.0f} {y} C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y}"
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-opacity="0.45" stroke-width="1.5"/>'


if __name__ == "__main__":
    (ROOT / "docs/house.svg").write_text(draw(edges(ROOT / "fedsynth")))
