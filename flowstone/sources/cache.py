"""Summaries of source files: once per process, and kept on disk between processes."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from pathlib import Path

from flowstone.core.fingerprint.module import summarise
from flowstone.core.fingerprint.summary import ALGORITHM, Summary
from flowstone.core.hashing import combine

_KEPT = 4096
_known: OrderedDict[str, Summary] = OrderedDict()


class Summaries:
    """Summaries by the digest of the text. ``folder`` may hold those of earlier processes.

    A folder that can't be read or written is not used; a damaged entry is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def of(self, text: str, upto: int | None = None) -> Summary:
        """The summary of a module's text, or of its beginning."""
        key = combine(f"summary {ALGORITHM}", text, None if upto is None else str(upto))
        found = _known.get(key)
        if found is None:
            found = self._stored(key) or self._made(key, text, upto)
            _known[key] = found
            if len(_known) > _KEPT:
                _known.popitem(last=False)
        return found

    def _stored(self, key: str) -> Summary | None:
        if self._folder is None:
            return None
        try:
            return Summary.load((self._folder / key).read_bytes())
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _made(self, key: str, text: str, upto: int | None) -> Summary:
        made = summarise(text, upto)
        if self._folder is not None:
            _write(self._folder / key, made.dump())
        return made


def _write(file: Path, data: bytes) -> None:
    """Write a file so that nobody sees half of it; not at all, if that can't be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        try:
            with os.fdopen(number, "wb") as opened:
                opened.write(data)
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
    except OSError:
        return


def forget() -> None:
    """Drop what this process knows, as a new one would."""
    _known.clear()
