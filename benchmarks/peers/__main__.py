"""Makes the same edits in the same pipeline with Flowstone and its peers, and says who was right.

For each edit: run, edit, run, revert, run, each in a new process. "right": what had to run was
executed and nothing else; "too much": more was; "unnoticed": what changed wasn't executed, and the
value is right by chance; "stale": the value is wrong. Then, on the revert: "history" or "again".
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import environments
from benchmarks.peers.edits import EDITS
from benchmarks.peers.idioms import flowstone
from benchmarks.peers.peers import PEERS
from benchmarks.peers.report import Comparison, around_table, replace_table, to_json, to_text
from benchmarks.peers.trial import attempt, consult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.peers.peers import Peer
    from benchmarks.peers.project import Edit
    from benchmarks.peers.trial import Oracle, Outcome


def main() -> int:
    """Compare, and return 1 if a trial came to no verdict."""
    options = _options()
    peers = [peer for peer in PEERS if peer.name in options.peers]
    edits = [edit for edit in EDITS if edit.name in options.edits]
    with ExitStack() as stack:
        work = stack.enter_context(_folder())
        kept = options.keep.absolute() if options.keep else work / "environments"
        kept.mkdir(parents=True, exist_ok=True)
        env = environments.clean_environment()
        if options.here:
            env["PYTHONPATH"] = str(environments.ROOT)
        pythons = {
            peer.name: sys.executable if options.here else _environment(peer, kept)
            for peer in peers
        }
        cleaner = pythons.get("flowstone")
        stack.callback(_clean, cleaner, work / "flowstone-home", env)
        found = compare(peers, edits, pythons=pythons, work=work, env=env, jobs=options.jobs)
    print(to_text(found))
    if options.json:
        options.json.write_text(json.dumps(to_json(found), indent=2) + "\n")
    if options.markdown:
        replace_table(options.markdown, found)
    for line in found.failed():
        print(line, file=sys.stderr)
    return 1 if found.failed() else 0


def compare(
    peers: Sequence[Peer],
    edits: Sequence[Edit],
    *,
    pythons: dict[str, str],
    work: Path,
    env: dict[str, str],
    jobs: int,
) -> Comparison:
    """Every peer with every edit, ``jobs`` of them at once."""
    versions = {p.name: environments.version(p, pythons[p.name], env) for p in peers}

    def oracle(edit: Edit) -> Oracle:
        return consult(edit, sys.executable, work / "plain" / edit.name, env)

    def trial(pair: tuple[Peer, Edit]) -> Outcome:
        peer, edit = pair
        folder = work / peer.name / edit.name
        own = env | peer.environment(folder, work)
        python = pythons[peer.name]
        outcome = attempt(peer, edit, oracles[edit.name], python=python, folder=folder, env=own)
        _say(f"{peer.name}, {edit.name}: {outcome.verdict}")
        return outcome

    pairs = [(peer, edit) for peer in peers for edit in edits]
    with ThreadPoolExecutor(jobs) as pool:
        oracles = {
            edit.name: each for edit, each in zip(edits, pool.map(oracle, edits), strict=True)
        }
        outcomes = list(pool.map(trial, pairs))
    found = {
        (peer.name, edit.name): each for (peer, edit), each in zip(pairs, outcomes, strict=True)
    }
    return Comparison(peers, versions, edits, oracles, found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__)
    names, edits = [peer.name for peer in PEERS], [edit.name for edit in EDITS]
    parser.add_argument(
        "--peers",
        type=lambda text: text.split(","),
        default=names,
        metavar="NAME,...",
        help=f"some of {', '.join(names)}",
    )
    parser.add_argument("--edits", nargs="+", choices=edits, default=edits, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="renew the table of a page")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep environments there for the next time"
    )
    parser.add_argument(
        "--here", action="store_true", help="use this interpreter and make no environment"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at once")
    options = parser.parse_args()
    if unknown := set(options.peers) - set(names):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if options.markdown:
        try:
            around_table(options.markdown)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    return options


def _environment(peer: Peer, folder: Path) -> str:
    _say(f"environment for {peer.name}")
    return environments.make(peer, folder)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this comparison that other accounts may enter.

    Run by root, Flowstone's embedded server belongs to an unprivileged account.
    """
    folder = Path(tempfile.mkdtemp(prefix="peers-")).resolve()
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clean(python: str | None, home: Path, env: dict[str, str]) -> None:
    if python is not None and home.exists():
        environments.run([python, "-c", flowstone.CLEAN, str(home)], env=env)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
