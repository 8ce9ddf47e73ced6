"""A page that is followed as a reader does: files written, edits made, commands run.

Blocks with a title are about that file: Python is added to it, or, if the file was there before,
quoted from it; a diff edits it. A console block holds commands and what they print, times and
digests aside.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.integration.scripts import environment

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
VARYING = [
    (re.compile(r"; about [^;]* of work$"), ""),  # told if it is worth it
    (re.compile(r"\d\d:\d\d:\d\d"), "CLOCK"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "VERSION"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b( \d+ (s|min)\b)?( ago)?|just now| - "), " TIME "),
    (re.compile(r"/\S+/"), "/"),
    (re.compile(r"\s+"), " "),
]


def follow(page: str, folder: Path, home: Path) -> None:
    """Do what a page says in a folder; what it shows must come out."""
    there = {path.name for path in folder.iterdir()}
    settings = environment(home) | {"PATH": f"{_with_python(home)}{os.pathsep}{os.environ['PATH']}"}
    for kind, title, text in BLOCK.findall(page):
        if kind == "console":
            _run(text, folder, settings)
        elif title in there:
            assert text in (folder / title).read_text(encoding="utf-8"), f"not in {title}: {text}"
        elif title:
            _write(folder / title, kind, text)


def _with_python(home: Path) -> Path:
    """A folder with a command ``python`` that is this interpreter."""
    folder = home.parent / "bin"
    folder.mkdir()
    command = folder / "python"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def _write(file: Path, kind: str, text: str) -> None:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if kind == "diff":
        lines = text.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in (sign, " ")) for sign in "-+")
        assert before.count(old) == 1, f"{old!r} is in {file.name} {before.count(old)} times"
        after = before.replace(old, new)
    else:
        after = f"{before}\n\n{text}" if before else text
    file.write_text(after, encoding="utf-8")


def _run(text: str, folder: Path, settings: dict[str, str]) -> None:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            check=False,
            cwd=folder,
            encoding="utf-8",
            env=settings,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            timeout=240,
        )
        assert same(done.stdout) == same(shown), f"{command}\n{done.stdout}"


def same(printed: str) -> list[str]:
    """What was printed without what differs from run to run: times, digests, the order of ends."""
    lines = []
    for line in printed.splitlines():
        for varying, word in VARYING:
            line = varying.sub(word, line)  # noqa: PLW2901 - one after the other
        lines.append(line.strip())
    return sorted(lines)
