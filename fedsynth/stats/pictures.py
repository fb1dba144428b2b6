"""Files of pictures, painted already, are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedsynth.records.mark import new_file
from fedsynth.system import naming

Pictures = Mapping[Path, bytes | None]
"""Files of pictures; None for one that does not apply any more."""


def write_pictures(pictures: Pictures) -> list[Path]:
    """Write pictures' files, each in one step, so that an older one stays until the new one is whole; return the paths.

    Meanwhile it is in the folder's private folder, where no link can lead elsewhere and what a killed process leaves is
    deleted by the next.
    """
    for path in (path for path, content in pictures.items() if content is None):
        path.unlink(missing_ok=True)
    written = {path: content for path, content in pictures.items() if content is not None}
    for path, content in written.items():
        with new_file(path) as new, naming(new), new.open("xb") as file:
            file.write(content)
            file.close()  # before the renaming, for Windows
    return [*written]
