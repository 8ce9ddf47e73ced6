"""Who is compared, in which version, and which of its features are used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.peers.idioms import dagster, flowstone, hamilton, redun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.peers.project import Project


@dataclass(frozen=True)
class Peer:
    """A framework, used in one way.

    ``requirement`` is what pip installs, None being this checkout. ``files`` writes a project in
    its idiom, ``commands`` says what the interpreter is given: the run, and maybe what reads its
    value. ``environment`` says which variables it needs, from the edit's folder and one that all
    edits of a comparison share.
    """

    name: str
    title: str
    distribution: str
    requirement: str | None
    uses: str
    files: Callable[[Project], dict[str, str]]
    environment: Callable[[Path, Path], dict[str, str]]
    commands: Callable[[Project], list[list[str]]] = lambda _: [["run.py"]]


_REDUN = "redun==0.44.1"
_DAGSTER = "dagster==1.13.29"

PEERS = (
    Peer(
        "flowstone",
        "Flowstone",
        "flowstone",
        None,
        "`@asset`; `InputPath` for the file, `--set` for config; `python -m flowstone run`, with "
        "the embedded Postgres. Nothing is declared by hand.",
        flowstone.files,
        flowstone.environment,
        flowstone.commands,
    ),
    Peer(
        "hamilton",
        "Hamilton",
        "sf-hamilton",
        "sf-hamilton==1.90.0",
        'A driver with `.with_cache()`; `@cache(behavior="recompute")` on the function that reads '
        "the file, as its caching page advises; config as an input of `execute`.",
        hamilton.files,
        hamilton.environment,
    ),
    Peer(
        "redun",
        "redun",
        "redun",
        _REDUN,
        "`@task()` and a scheduler over a SQLite file; `File` and config as arguments of the main "
        "task.",
        partial(redun.files, listed=False),
        redun.environment,
    ),
    Peer(
        "redun-includes",
        "redun, `hash_includes`",
        "redun",
        _REDUN,
        "The same, where the author lists in `hash_includes` whatever the body of a task uses "
        "(functions, methods, constants, but not what those use in turn), and takes the file as a "
        "`ContentFile`.",
        partial(redun.files, listed=True),
        redun.environment,
    ),
    Peer(
        "dagster",
        "Dagster",
        "dagster",
        _DAGSTER,
        "`@asset` without a `code_version`; an observable source asset for the file, observed "
        "before each run; run config; then what *Materialize unsynced* would make, until nothing "
        "is unsynced.",
        partial(dagster.files, versions=False),
        dagster.environment,
    ),
    Peer(
        "dagster-versions",
        "Dagster, versions",
        "dagster",
        _DAGSTER,
        "The same, where an author who never errs gives a new `code_version` to each asset whose "
        "code means something else now, however far away the edit was, and each asset states the "
        "digest of its value as its `DataVersion`.",
        partial(dagster.files, versions=True),
        dagster.environment,
    ),
)
