"""`python -m tests.site build/site`: no page of the built site has a broken link or asks anything of another host.

A link is broken if its file, or the anchor in it, is not there; links to other sites are not followed. Asked of another
host is what a browser loads by itself: scripts, styles, fonts, pictures, frames; and what a script would fetch.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "audio": "src", "video": "src"}
LOADING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest", "modulepreload"}
_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]+")
_ADDRESS = re.compile(r"[`'\"](?:https?:)//[^`'\"\s]+")
_IDLE = {
    "https://unpkg.com/mermaid": 'class="mermaid"',
    "https://unpkg.com/resize-observer-polyfill": "a browser from before 2020",
    "https://api.github.com/": 'data-md-component="source"',
    "https://${e}/api/v4/": 'data-md-component="source"',
}
"""What Material's script asks for where a page has this in it, and so not here."""


@dataclass
class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors in it."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.loaded.append(given[LOADED[tag]])
        if tag == "link" and LOADING_LINKS & set(given.get("rel", "").split()):
            self.loaded.append(given.get("href", ""))
        self.loaded += [match[0].partition("(")[2] for match in _STYLE.finditer(given.get("style", ""))]


@cache
def read(path: Path) -> Page:
    """Return what is in a page."""
    page = Page()
    page.feed(path.read_text())
    return page


def problems(site: Path) -> Iterator[str]:
    """Yield what is wrong, a sentence each."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site}: has no pages"
    for path in pages:
        page, name = read(path), path.relative_to(site)
        for target in page.loaded:
            if _is_outside(target):
                yield f"{name}: loads {target} from another host"
        for target in (*page.links, *page.loaded):
            if not _is_outside(target) and not _is_there(site, path, target):
                yield f"{name}: links to {target}, which is not there"
    for path in sorted((*site.rglob("*.css"), *pages)):
        for match in _STYLE.finditer(path.read_text()):
            yield f"{path.relative_to(site)}: loads {match[0]} from another host"
    text = "".join(path.read_text() for path in pages)
    for path in sorted(site.rglob("*.js")):
        for match in _ADDRESS.finditer(path.read_text()):
            found = [mark for start, mark in _IDLE.items() if match[0][1:].startswith(start)]
            if not found or found[0] in text:
                yield f"{path.relative_to(site)}: asks {match[0]} for something"


def _is_outside(target: str) -> bool:
    return urlparse(target).scheme in ("http", "https") or target.startswith("//")


def _is_there(site: Path, page: Path, target: str) -> bool:
    if urlparse(target).scheme:  # mailto:, data:
        return True
    address, anchor = urldefrag(target)
    path, start = unquote(address.partition("?")[0]), site if address.startswith("/") else page.parent
    found = (start / path.lstrip("/")).resolve() if path else page
    found = found / "index.html" if found.is_dir() else found
    if not found.is_file():
        return False
    return not anchor or found.suffix != ".html" or unquote(anchor) in read(found).anchors | {"__top"}


def main() -> None:
    """Print what is wrong; exit 1 if anything is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site
    found = list(problems(site))
    print(
        "\n".join(found)
        or f"{site}: no broken link, nothing from other hosts in {len(list(site.rglob('*.html')))} pages"
    )
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
