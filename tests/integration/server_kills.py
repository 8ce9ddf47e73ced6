"""Kills processes of the embedded server at random moments, and looks whether it matters.

``python tests/integration/server_kills.py --trials 200 --seed 1`` prints a line for each promise
that was broken, and a summary; ``--race 100`` starts that many processes at once instead. Linux
only: it looks for processes in /proc.

One trial: a few processes use one server and tell each row once it is committed. While they start,
use or stop it, a few of all processes are killed: users, the guardian, the server, its children,
initdb and its children. Then the server is started again; the rows told must be there, and once
nobody uses it any more no process may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LINGER_S = 0.2
# On a busy machine; what is left behind for good is left much longer
GONE_WITHIN_S = 60.0
# Kinds of processes; users are known by their pids
KINDS = ("user", "guardian", "postmaster", "backend", "initdb")

# Inserts rows and tells each once it is committed, until its standard input ends.
USER = """
import itertools, select, sys
from pathlib import Path
import psycopg
from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded import EmbeddedServer
home, linger, first = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
server = EmbeddedServer(home, linger=linger)
numbers = itertools.count(first)
ended = lambda: bool(select.select([sys.stdin], [], [], 0.002)[0])
while not ended():
    try:
        server.start()
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(1)")
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n bigint PRIMARY KEY)")
            connection.execute("SELECT pg_advisory_unlock(1)")
            while not ended():
                number = next(numbers)
                connection.execute("INSERT INTO kept VALUES (%s)", [number])
                print(number, flush=True)
    except psycopg.OperationalError:
        pass
    except EmbeddedServerError as error:
        print("error", str(error).replace(chr(10), " | ")[-1500:], flush=True)
"""
# Starts the server, tells its pid, and uses it until its standard input ends.
STARTER = """
import sys
from pathlib import Path
from flowstone.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), linger=float(sys.argv[2]))
sys.stdin.readline()
server.start()
print(server.status().pid, flush=True)
sys.stdin.read()
"""


@dataclass
class Trial:
    """What one trial did and found."""

    killed: list[str] = field(default_factory=list)
    seconds_to_start: float = 0.0
    violations: list[str] = field(default_factory=list)


@dataclass
class Home:
    """A home, and the rows that were told as committed to its server."""

    path: Path
    told: set[int] = field(default_factory=set)


def child(source: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process of its own session, with our packages."""
    return subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("FLOWSTONE_")},
        start_new_session=True,
    )


def processes(base: Path) -> dict[int, str]:
    """The processes of the server in ``base``, by pid: what kind each is of."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                kind = _kind(folder, base)
                if kind:
                    found[int(folder.name)] = kind
    return found


def _kind(process: Path, base: Path) -> str | None:
    command = (process / "cmdline").read_bytes().split(b"\0")
    if b"guardian.py" in b" ".join(command[:5]):
        return "guardian" if str(base).encode() in b" ".join(command) else None
    program = Path(os.fsdecode(command[0])).name
    if program == "initdb":
        return "initdb" if os.fsencode(base / "data.new") in command else None
    if program == "postgres" and os.fsencode(base / "data") in command:
        return "postmaster"
    place = (process / "cwd").readlink()
    if place == base / "data":
        return "backend"
    return "initdb" if place == base / "data.new" else None


def kill_some(rng: random.Random, base: Path, users: list[subprocess.Popen[str]]) -> list[str]:
    """Kill one process, several, or all there are; of what kinds they were."""
    living = processes(base) | {user.pid: "user" for user in users if user.poll() is None}
    kinds = [kind for kind in KINDS if kind in living.values()]
    if not kinds:
        return []
    several = rng.sample(kinds, rng.randint(1, len(kinds))) if rng.random() < 0.4 else []
    chosen = several or [rng.choice(kinds)]
    victims = [pid for pid, kind in living.items() if kind in chosen]
    if not several or rng.random() < 0.5:
        victims = [rng.choice(victims)]
    rng.shuffle(victims)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [living[pid] for pid in victims]


def run_trial(rng: random.Random, home: Home) -> Trial:
    """Use, kill, start again, and look; see the module."""
    trial = Trial()
    server = EmbeddedServer(home.path, linger=LINGER_S)
    is_new = not home.path.exists()
    phase = rng.choice(["start"] * 6 + ["use"] * 2 if is_new else ["start", "use", "stop"])
    first = (max(home.told, default=0) // 1_000_000 + 1) * 1_000_000
    users = [
        child(USER, str(home.path), str(LINGER_S), str(first + n * 100_000))
        for n in range(rng.randint(1, 3))
    ]
    if phase != "start":
        assert users[0].stdout is not None
        _take(users[0].stdout.readline(), home, trial)
    if phase == "stop":
        for user in users:
            _end(user)
    for _ in range(rng.randint(1, 3)):
        time.sleep(rng.uniform(0, 0.7 if phase == "start" else 0.3))
        trial.killed += kill_some(rng, server.data.parent, users)
    if rng.random() < 0.5:
        _settle(rng, users, home, trial)
        _expect_nothing_left(server, trial)
    _start_again(server, home, trial)
    server.release()
    _settle(rng, users, home, trial)
    _expect_nothing_left(server, trial)
    return trial


def _start_again(server: EmbeddedServer, home: Home, trial: Trial) -> None:
    began = time.monotonic()
    try:
        there = _rows(server)
    except (EmbeddedServerError, psycopg.Error) as error:
        trial.violations.append(f"the next start failed: {error}")
        return
    trial.seconds_to_start = time.monotonic() - began
    lost = home.told - there
    if lost:
        trial.violations.append(f"{len(lost)} committed rows lost, {min(lost)} among them")


def _rows(server: EmbeddedServer) -> set[int]:
    """The rows there are; the server may notice the last kill only after it has answered."""
    for remaining in (2, 1, 0):
        server.start()
        try:
            with psycopg.connect(server.conninfo(), autocommit=True) as connection:
                row = connection.execute("SELECT to_regclass('kept')::text").fetchone()
                if not row or not row[0]:
                    return set()
                return {number for (number,) in connection.execute("SELECT n FROM kept")}
        except psycopg.OperationalError:
            if not remaining:
                raise
    raise AssertionError


def _end(user: subprocess.Popen[str]) -> None:
    assert user.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        user.stdin.close()


def _settle(
    rng: random.Random, users: list[subprocess.Popen[str]], home: Home, trial: Trial
) -> None:
    """End all users, some of them by a kill, and take down what they told."""
    while users:
        user = users.pop()
        _end(user)
        if rng.random() < 0.3:
            user.kill()
        assert user.stdout is not None
        for line in user.stdout:
            _take(line, home, trial)
        user.wait()
        user.stdout.close()


def _take(line: str, home: Home, trial: Trial) -> None:
    if line.startswith("error"):
        trial.violations.append(f"a user's start failed: {line[6:].strip()}")
    elif line.endswith("\n"):
        home.told.add(int(line))


def _expect_nothing_left(server: EmbeddedServer, trial: Trial) -> None:
    base = server.data.parent
    deadline = time.monotonic() + GONE_WITHIN_S
    while left := processes(base):
        if time.monotonic() > deadline:
            trial.violations.append(f"processes left behind: {left}")
            return
        time.sleep(0.02)


@contextlib.contextmanager
def homes(rng: random.Random) -> Iterator[Iterator[Home]]:
    """Homes to use in turn; about every fourth is a new one."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        home = Home(Path(folder) / "home0")

        def each() -> Iterator[Home]:
            nonlocal home
            for number in itertools.count(1):
                yield home
                if rng.random() < 0.25:
                    discard(home.path)
                    home = Home(Path(folder) / f"home{number}")

        try:
            yield each()
        finally:
            discard(home.path)


def discard(home: Path) -> None:
    """Stop the server of ``home`` and remove what root's lies elsewhere."""
    server = EmbeddedServer(home)
    server.stop()
    if os.geteuid() == 0:
        shutil.rmtree(server.data.parent.parent, ignore_errors=True)


def trials(number: int, seed: int) -> Iterator[Trial]:
    """That many trials, always the same for one seed as far as time allows."""
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    with homes(rng) as each:
        for _, home in zip(range(number), each, strict=False):
            yield run_trial(rng, home)


def race(number: int) -> tuple[float, list[str]]:
    """Start that many processes at once in a new home; the seconds it takes, and faults."""
    with tempfile.TemporaryDirectory(prefix="race-") as folder:
        home = Path(folder) / "home"
        starters = [child(STARTER, str(home), str(LINGER_S)) for _ in range(number)]
        began = time.monotonic()
        for starter in starters:
            assert starter.stdin is not None
            starter.stdin.write("\n")
            starter.stdin.flush()
        told = [starter.stdout.readline().strip() for starter in starters if starter.stdout]
        took = time.monotonic() - began
        faults = [] if len(set(told)) == 1 and told[0].isdigit() else [f"pids told: {set(told)}"]
        for starter in starters:
            starter.communicate()
        trial = Trial()
        _expect_nothing_left(EmbeddedServer(home), trial)
        discard(home)
    return took, faults + trial.violations


def main() -> int:
    """Run what the command line asks for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--race", type=int, default=0, metavar="N")
    wanted = parser.parse_args()
    if wanted.race:
        took, violations = race(wanted.race)
        print(f"{wanted.race} starts at once: {took:.1f} s, {len(violations)} violations")  # noqa: T201 - it prints its figures
        print(*violations, sep="\n")  # noqa: T201 - as above
        return bool(violations)
    done: list[Trial] = []
    with contextlib.suppress(KeyboardInterrupt):
        for number, trial in enumerate(trials(wanted.trials, wanted.seed)):
            done.append(trial)
            for violation in trial.violations:
                print(f"trial {number}: {violation} (killed: {trial.killed})", flush=True)  # noqa: T201 - as above
    starts = [trial.seconds_to_start for trial in done if trial.seconds_to_start]
    victims = [kind for trial in done for kind in trial.killed]
    violations = [violation for trial in done for violation in trial.violations]
    print(  # noqa: T201 - as above
        f"{len(done)} trials, {len(victims)} kills"
        f" ({', '.join(f'{victims.count(kind)} {kind}' for kind in KINDS)}),"
        f" {len(violations)} violations; next start: median {statistics.median(starts):.2f} s,"
        f" max {max(starts):.2f} s"
    )
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
