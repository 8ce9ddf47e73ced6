"""What embedded servers left behind, of this home and, for root, of homes that are gone."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.store.embedded import folders, guardian
from flowstone.store.embedded.binaries import MAJOR

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of homes that are gone, there may be hundreds
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that is there for nothing, and how to remove it."""

    text: str
    cure: str


def find(home: Path) -> list[Leftover]:
    """What could be removed; touches nothing."""
    found = [*_of_home(folders.locate(home, MAJOR))]
    return [*found, *_of_gone_homes()] if os.geteuid() == 0 else found


def _of_home(place: folders.Folders) -> Iterator[Leftover]:
    if place.keep.exists() and guardian.is_free(str(place.base), "guardian.lock"):
        yield Leftover(
            "the server is to be kept, and does not run", "python -m flowstone db start, or db stop"
        )
    if place.unfinished.exists() and guardian.is_free(str(place.base), "server.lock"):
        yield Leftover(f"{place.unfinished} was never finished", "none: the next start removes it")
    for folder in sorted(place.base.parent.glob("*")) if place.base.parent.is_dir() else ():
        if folder.name.isdigit() and folder != place.base and (folder / "data").is_dir():
            yield Leftover(f"{folder} holds data of PostgreSQL {folder.name}", _removal(folder))


def _of_gone_homes() -> Iterator[Leftover]:
    gone = {note.parent: home for note in _notes() if (home := _gone_home(note))}
    for folder, home in list(gone.items())[:_SHOWN]:
        yield Leftover(f"{folder} is of {home}, which is gone", _removal(folder))
    if len(gone) > _SHOWN:
        text = f"{len(gone) - _SHOWN} more in {folders.ROOT_STATE} are of homes that are gone"
        yield Leftover(text, "remove the first ones; then doctor tells the next")


def _notes() -> list[Path]:
    return sorted(folders.ROOT_STATE.glob("*/home"))


def _gone_home(note: Path) -> Path | None:
    """The home that data of root's belonged to, if it is gone or was made again since."""
    try:
        home = Path(note.read_text(errors="replace").rstrip("\n"))
        if home.is_dir() and folders.locate(home, MAJOR).base.parent == note.parent:
            return None
        return None if any(map(_is_in_use, note.parent.glob("*/server.lock"))) else home
    except FileNotFoundError:  # somebody removes it just now
        return None


def _is_in_use(lock: Path) -> bool:
    return not guardian.is_free(str(lock.parent), lock.name)


def _removal(folder: Path) -> str:
    return f"once you need it no more: rm -r {shlex.quote(str(folder))}"
