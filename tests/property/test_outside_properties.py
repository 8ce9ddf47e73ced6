"""Digests of files and folders against naive ones, under random edits."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.core.hashing import combine, content_digest
from flowstone.sources.paths import Content, contents

if TYPE_CHECKING:
    from collections.abc import Callable

#: Does something to a folder.
Edit: TypeAlias = "Callable[[Path], object]"

NAMES = st.sampled_from(["a", "b", "a/c", "a/d", "b/c/d", ".e", "é", "z.txt"])
#: Few and short, so that edits often keep the size.
BYTES = st.sampled_from([b"", b"0", b"1", b"2", b"10", b"01"])


def write(folder: Path, name: str, data: bytes) -> None:
    file = folder / name
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    for above in reversed(file.relative_to(folder).parents):
        if (folder / above).is_symlink() or (folder / above).is_file():
            (folder / above).unlink()
        (folder / above).mkdir(exist_ok=True)
    if file.is_symlink():
        file.unlink()
    file.write_bytes(data)


def write_keeping_times(folder: Path, name: str, data: bytes) -> None:
    """An edit that hides itself as well as a program can."""
    file = folder / name
    if file.is_file():
        status = file.stat()
        file.write_bytes(data)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def swap_in(folder: Path, name: str, data: bytes) -> None:
    """The way editors save: another file takes the name, with the times of the first."""
    file = folder / name
    if file.is_file() and not file.is_symlink():
        status = file.stat()
        aside = folder.parent / "aside"
        aside.write_bytes(data)
        os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))
        aside.replace(file)


def delete(folder: Path, name: str) -> None:
    file = folder / name
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    elif os.path.lexists(file):
        file.unlink()


def exchange(folder: Path, name: str, other: str) -> None:
    """Two files change their places, with their times."""
    files = folder / name, folder / other
    if all(file.is_file() and not file.is_symlink() for file in files):
        aside = folder.parent / "aside"
        files[0].replace(aside)
        if files[0] != files[1]:
            files[1].replace(files[0])
        aside.replace(files[1])


def link(folder: Path, name: str, data: bytes) -> None:
    file = folder / name
    if file.parent.is_dir() and not file.is_dir():
        (folder.parent / f"target{len(data)}").write_bytes(data)
        file.unlink(missing_ok=True)
        file.symlink_to(folder.parent / f"target{len(data)}")


def edits() -> st.SearchStrategy[Edit]:
    def of(
        edit: Callable[..., object], *arguments: st.SearchStrategy[object]
    ) -> st.SearchStrategy[Edit]:
        return st.tuples(*arguments).map(lambda given: lambda folder: edit(folder, *given))

    return st.one_of(
        of(write, NAMES, BYTES),
        of(write_keeping_times, NAMES, BYTES),
        of(swap_in, NAMES, BYTES),
        of(delete, NAMES),
        of(exchange, NAMES, NAMES),
        of(link, NAMES, BYTES),
    )


def naive(folder: Path) -> str:
    """The digest of a folder, all read."""
    files = sorted(
        (Path(above, name).relative_to(folder).as_posix(), Path(above, name))
        for above, _, names in os.walk(folder)
        for name in names
    )
    held = ((name, content_digest(file.read_bytes())) for name, file in files)
    return combine("folder", *(part for pair in held for part in pair))


def now(path: Path, cache: Path, clock: Callable[[], int] = time.time_ns) -> Content:
    found = anyio.run(functools.partial(contents, [path], cache, clock=clock))
    return found[path]


def wait_for_the_next_instant(folder: Path) -> None:
    """Until the file system would date a change otherwise than all before."""
    probe = folder.parent / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()


@settings(max_examples=60)
@given(st.lists(edits(), min_size=1, max_size=8))
def test_every_edit_is_seen_however_fast_it_follows(changes: list[Edit]) -> None:
    """With the clock as it is: nothing here rests long enough to be remembered."""
    with tempfile.TemporaryDirectory() as home:
        folder, cache = Path(home, "data"), Path(home, "cache")
        folder.mkdir()
        for edit in changes:
            edit(folder)
            assert now(folder, cache).digest == naive(folder)


@settings(max_examples=40, deadline=None)
@given(st.lists(edits(), min_size=1, max_size=8))
def test_every_edit_is_seen_after_a_file_was_remembered(changes: list[Edit]) -> None:
    """With a clock so late that everything is remembered at once."""
    with tempfile.TemporaryDirectory() as home:
        folder, cache = Path(home, "data"), Path(home, "cache")
        folder.mkdir()
        for edit in changes:
            edit(folder)
            found = now(folder, cache, lambda: time.time_ns() + 10**11)
            assert found.digest == naive(folder)
            wait_for_the_next_instant(folder)


@settings(max_examples=60)
@given(BYTES, BYTES, st.integers(0, 2**40))
def test_two_files_agree_if_and_only_if_their_bytes_do(one: bytes, other: bytes, date: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        file, cache = Path(home, "file"), Path(home, "cache")
        digests = []
        for data in (one, other):
            file.write_bytes(data)
            os.utime(file, ns=(date, date))
            digests.append(now(file, cache).digest)
        assert (digests[0] == digests[1]) is (one == other)
