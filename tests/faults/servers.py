"""A database that breaks, is slow, or is not there: runs get over it."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.faults.frame import Fault, Trial, repeated
from tests.faults.racing import QUICK
from tests.faults.wire import Wire
from tests.faults.workload import Workload

if TYPE_CHECKING:
    import random

    from tests.faults.world import Job, Runner, World
    from tests.integration.proxy import Loss

#: A run that lasts for a second or two.
SECONDS = Workload(layers=6, width=4, seconds=0.05)
#: Two hundred steps at once.
WIDE = Workload(layers=2, width=100, seconds=0.02)

_OTHERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
# Fails, or takes its time, so many times; a sequence counts, for that no rollback takes back.
_TRIGGER = """
CREATE SEQUENCE fault_times;
CREATE FUNCTION fault_strikes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('fault_times') <= {times} THEN
        {strike};
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fault_strikes AFTER INSERT OR UPDATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION fault_strikes();
"""


def _through(job: Job, trial: Trial, runner: Runner, since: float) -> Trial:
    """A run gets over its fault by itself, and calls no function twice."""
    code = runner.end()
    trial.recovery = time.monotonic() - since
    trial.expect(code == 0, f"the run ended with {code}: {runner.said[-500:]}")
    lost = runner.told - job.recorded
    trial.expect(not lost, f"told as made, and not recorded: {sorted(lost)}")
    twice = [name for name, times in job.calls.items() if times > 1]
    trial.expect(not twice, f"called twice: {sorted(twice)}")
    trial.again = len(twice)
    if code != 0:
        job.make_up(trial, since, runner)
    else:
        job.judge(trial)
    return trial


def begun(job: Job, rng: random.Random, trial: Trial, **fault: Any) -> Runner:
    """A run that is somewhere on its way."""
    runner = job.start(**fault)
    reached = job.wait_for_calls(rng.randint(1, len(job.workload.names) - 4), runner)
    trial.expect(reached, f"ended early: {runner.said[-300:]}")
    time.sleep(rng.uniform(0.0, 0.05))
    return runner


def backend_killed(world: World, rng: random.Random) -> Trial:
    """Kill one backend: the server ends all others, and recovers."""
    with world.job(SECONDS) as job:
        trial = Trial("a backend of the run killed")
        runner = begun(job, rng, trial)
        for (pid,) in job.ask(_OTHERS)[:1]:
            os.kill(pid, signal.SIGKILL)
        return _through(job, trial, runner, time.monotonic())


def server_ends(world: World, rng: random.Random) -> Trial:
    """Kill the server, or stop it in a hurry, or properly; after a while it is started again."""
    with world.job(SECONDS) as job:
        how = rng.choice([signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
        trial = Trial(f"server gets {how.name}")
        runner = begun(job, rng, trial)
        pid = world.server.status().pid
        assert pid is not None
        os.kill(pid, how)
        ended = time.monotonic()
        time.sleep(rng.uniform(0.0, 1.0))
        world.server.start()
        return _through(job, trial, runner, ended)


def terminated(world: World, rng: random.Random) -> Trial:
    """End all connections of a run every 50 ms, ten times."""
    with world.job(SECONDS) as job:
        trial = Trial("connections ended")
        runner = begun(job, rng, trial)
        began = time.monotonic()
        for _ in range(10):
            ended = job.ask(f"SELECT pg_terminate_backend(pid) FROM ({_OTHERS}) AS o")  # noqa: S608 - ours
            trial.figures["ended"] = trial.figures.get("ended", 0) + len(ended)
            time.sleep(0.05)
        return _through(job, trial, runner, began)


def commits_lost(world: World, rng: random.Random) -> Trial:
    """Some COMMITs are lost, or the answers to them."""
    with world.job(SECONDS) as job, Wire(job).opened() as wire:
        losses: list[Loss] = ["reply", "request"]
        wire.losses += rng.choices(losses, weights=[3, 1], k=rng.randint(1, 6))
        trial = Trial(f"COMMIT: {' '.join(wire.losses)}")
        began = time.monotonic()
        return _through(job, trial, job.start(database=wire.conninfo), began)


def frozen(world: World, rng: random.Random) -> Trial:
    """Nothing passes for a while: what was begun goes on, and nothing begins without a lease.

    Then the link is back, or never comes back.
    """
    with world.job(SECONDS) as job, Wire(job).opened() as wire:
        trial = Trial("link frozen")
        runner = begun(job, rng, trial, database=wire.conninfo, constants=QUICK)
        wire.freeze()
        began = time.monotonic()
        time.sleep(rng.uniform(0.2, 3.0))
        late = max((each.at for each in job.executions if each.word == "begin"), default=began)
        trial.figures["begun after the freeze, s"] = round(max(late - began, 0.0), 2)
        trusted = QUICK["LEASE_SECONDS"] - QUICK["CAUTION_SECONDS"]
        trial.expect(late - began < trusted + 0.1, f"begun {late - began:.2f} s after the freeze")
        wire.thaw()
        return _through(job, trial, runner, began)


def slow(world: World, rng: random.Random) -> Trial:
    """Each request takes long."""
    with world.job(Workload(layers=3, width=4)) as job, Wire(job).opened() as wire:
        wire.delay = rng.uniform(0.05, 0.3)
        trial = Trial(f"requests take {wire.delay:.2f} s")
        began = time.monotonic()
        return _through(job, trial, job.start(database=wire.conninfo), began)


def link(world: World, rng: random.Random) -> Trial:
    """A link that is frozen for a time, or slow."""
    return rng.choice([frozen, frozen, slow])(world, rng)


def refused(world: World, rng: random.Random) -> Trial:
    """The database fails some transactions with what passes when they are tried again."""
    with world.job(SECONDS) as job:
        code = rng.choice(["40001", "40P01", "55P03", "53100", "53200"])
        trial = Trial(f"SQLSTATE {code}")
        strike = f"RAISE EXCEPTION 'made to fail' USING ERRCODE = '{code}'"
        job.do(_TRIGGER.format(times=rng.randint(1, 5), strike=strike, table=_table(rng)))
        began = time.monotonic()
        return _through(job, trial, job.start(), began)


def _table(rng: random.Random) -> str:
    return rng.choice(["flowstone_materializations", "flowstone_runs", "flowstone_current"])


def too_slow(world: World, rng: random.Random) -> Trial:
    """Statements take longer than they may, some times: the batch is tried again."""
    with world.job(SECONDS) as job:
        trial = Trial("statements cancelled by statement_timeout")
        job.do(
            _TRIGGER.format(
                times=rng.randint(1, 4),
                strike="PERFORM pg_sleep(1.0)",
                table="flowstone_materializations",
            )
        )
        ((name,),) = job.ask("SELECT current_database()")
        job.do(f"ALTER DATABASE {name} SET statement_timeout = '200ms'")
        began = time.monotonic()
        return _through(job, trial, job.start(), began)


def one_connection(world: World, rng: random.Random) -> Trial:
    """Two hundred steps over a pool of one connection: the lease is renewed in time."""
    with world.job(WIDE) as job:
        trial = Trial("a pool of one connection")
        began = time.monotonic()
        runner = job.start(constants={**QUICK, "CONNECTIONS": rng.choice([1, 1, 2])})
        least_lease(job, trial, runner)
        return _through(job, trial, runner, began)


def least_lease(job: Job, trial: Trial, runner: Runner) -> None:
    """See that a run's lease never runs out while it runs."""
    least = QUICK["LEASE_SECONDS"]
    left = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float FROM flowstone_leases"
    while runner.code is None:
        least = min([least, *(seconds for (seconds,) in job.ask(left))])
        time.sleep(0.02)
    trial.figures["lease left at least, s"] = round(least, 2)
    trial.expect(least > 0, "the lease ran out")


FAULTS = [
    Fault(3, "backend killed", repeated(backend_killed), 0.25),
    Fault(4, "server killed, or stopped, and started again", repeated(server_ends), 0.25),
    Fault(6, "connections terminated every 50 ms", repeated(terminated), 0.25),
    Fault(7, "COMMIT or its answer lost", repeated(commits_lost), 0.5),
    Fault(8, "frozen or slow link", repeated(link), 0.25),
    Fault(15, "serialization failure, deadlock, full disk, once or more", repeated(refused), 0.25),
    Fault(16, "a pool of one connection, 200 steps", repeated(one_connection), 0.1),
    Fault(17, "statements that take too long", repeated(too_slow), 0.25),
]
