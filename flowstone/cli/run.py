"""``run``: make assets, and tell about it."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import click

from flowstone import log
from flowstone.cli import options, output
from flowstone.cli.events import JsonLines, LogEntries
from flowstone.cli.faults import FAILED
from flowstone.cli.interrupts import INTERRUPTED, interrupts
from flowstone.cli.plan import show
from flowstone.cli.progress import PlainScreen, Progress, Screen, View
from flowstone.errors import ResourceError
from flowstone.portal import call
from flowstone.runner.failure import describe
from flowstone.runner.stopping import Stop
from flowstone.settings import Settings
from flowstone.telling.frames import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.api import Flowstone
    from flowstone.cli.targets import Target
    from flowstone.core.plan import Plan
    from flowstone.result import RunResult
    from flowstone.runner.events import Event

Form = Literal["human", "json"]


class Audience(Protocol):
    """Who is told about a run."""

    def planned(self, plan: Plan) -> None:
        """The run is about to begin."""

    def __call__(self, event: Event) -> None:
        """Something happened."""

    def close(self) -> None:
        """The run is over, however it ended."""


class Asked(Protocol):
    """What is to be made; ``partition`` is known once it is planned."""

    @property
    def partition(self) -> object | None:
        """The key, as it was given."""

    def load(self) -> tuple[Target, list[str]]:
        """Import the target and choose its assets."""

    async def plan(self, fs: Flowstone, found: Target, names: list[str]) -> Plan:
        """What a run would do."""


def making(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of how a run is carried out and told."""
    for option in reversed(
        [
            click.option(
                "-j", "--jobs", type=click.IntRange(1), help="Functions at once in threads."
            ),
            click.option("--json", "as_json", is_flag=True, help="One JSON object per event."),
            click.option("-q", "--quiet", is_flag=True, help="Say nothing but what failed."),
            click.option("-v", "--verbose", is_flag=True, help="Say everything, debug logs too."),
            click.option(
                "--log", "form", type=click.Choice(["human", "json"]), help="Logs on stderr."
            ),
        ]
    ):
        command = option(command)
    return command


@click.command(cls=options.OrderCommand)
@options.ordering
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would run: plan.")
@click.option("--verify", is_flag=True, help="Execute fresh assets too, and compare.")
@making
def run(
    order: options.Order,
    *,
    jobs: int | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    form: Form | None,
) -> int:
    """Make assets, and all they need that is not fresh.

    Without SELECTION all assets of TARGET are meant: names, tag:x, group:y, with + before or
    after for what they need or what needs them.
    """
    if dry_run:
        show(order, as_json=as_json)
        return 0
    return make(order, jobs=jobs, as_json=as_json, quiet=quiet, verbose=verbose, form=form)


def make(
    order: Asked,
    *,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    form: Form | None,
) -> int:
    """Plan what is asked for, carry it out and tell about it; the exit code."""
    form = form or Settings.load().log
    log.configure(form, "debug" if verbose else "warning" if quiet else "info")
    out = output.claim() if as_json else None
    found, names = order.load()
    with contextlib.ExitStack() as stack:
        listeners: list[Audience] = [JsonLines(out)] if out else []
        say = _say
        if form == "json":
            listeners.append(entries := LogEntries())
            say = entries.say
        elif not as_json:
            screen = stack.enter_context(_screen(quiet=quiet))
            view = View(Path.cwd(), verbose=verbose, quiet=quiet)
            listeners.append(progress := Progress(screen, view))
            say = progress.say

        def tell(event: Event) -> None:
            for each in listeners:
                each(event)

        stop = Stop()

        async def work(fs: Flowstone) -> RunResult:
            drawn = await order.plan(fs, found, names)
            for each in listeners:
                each.planned(drawn)
            with interrupts.heeded(stop, say):
                result = await fs.carry_out(
                    drawn,
                    partition=order.partition,
                    raise_on_error=False,
                    max_concurrency=jobs,
                    on_event=tell,
                    stop=stop,
                )
            _account(result, stop, say)
            return result

        try:
            result = call(work)
        except ResourceError as error:
            raise _shown(error) from error
        finally:
            for each in listeners:
                each.close()
    return _code(result)


def _account(result: RunResult, stop: Stop, say: Callable[[str], object]) -> None:
    """Say why a run ended early if nobody here asked it to."""
    if result.run.status == "cancelled" and stop.how is None:
        say("asked to stop from elsewhere: what ran is ended, what is done is recorded")


def _code(result: RunResult) -> int:
    if result.run.status == "cancelled":
        return (
            interrupts.code or INTERRUPTED
        )  # without a signal it was asked to stop from elsewhere
    return 0 if result.ok else FAILED


def _shown(error: ResourceError) -> ResourceError:
    """The error of a resource that was not closed, with the user's frames, and other such ones."""
    places = shown(describe(error).traceback)
    told = ResourceError("\n".join([str(error), *places, *getattr(error, "__notes__", ())]))
    told.result = error.result
    return told


@contextlib.contextmanager
def _screen(*, quiet: bool) -> Iterator[Screen]:
    """The terminal if there is one, else plain lines; rich is imported for a terminal only."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield PlainScreen(_say)
        return
    with import_module("flowstone.cli.live").LiveScreen() as screen:
        yield screen


def _say(text: str) -> None:
    # A reader that has gone must not stop a run that is being recorded.
    with contextlib.suppress(BrokenPipeError):
        click.echo(text, err=True)
