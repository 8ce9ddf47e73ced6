"""How a run ended, for the caller: statuses, rows and values."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from flowstone.core.display import Displayed
from flowstone.errors import RunFailedError, ValueLostError
from flowstone.runner.report import recorded
from flowstone.runner.versions import Input
from flowstone.telling.words import describe_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.plan import Plan
    from flowstone.core.records import Materialization
    from flowstone.errors import ResourceError
    from flowstone.runner.events import Ending
    from flowstone.runner.report import Report
    from flowstone.values import Keeper


class RunResult(Displayed):
    """How a run ended, and the values of its assets.

    ``result["revenue"]`` decodes that asset's value; each call gives a fresh copy of a mutable
    one. ``statuses`` says of every asset how its step ended: ``materialized``, ``reused``,
    ``failed``, ``skipped`` or ``cancelled``, and in a run that verifies ``verified`` or
    ``differs``. ``unclosed`` are the errors of resources that could not be closed, ``hook_errors``
    a line for each hook that raised.
    """

    def __init__(
        self,
        run_id: str,
        plan: Plan,
        report: Report,
        values: Keeper,
        hook_errors: Sequence[str] = (),
    ) -> None:
        self.run_id = run_id
        self.plan = plan
        self.run = report.run
        self.statuses: dict[str, Ending] = {
            name: report.endings[name]
            for step in plan
            if (name := step.asset.name) in report.endings
        }
        self.failures = report.failures
        self.unclosed = report.unclosed
        self.hook_errors = list(hook_errors)
        self._drafts = report.drafts
        self._versions = report.versions
        self._values = values

    @functools.cached_property
    def rows(self) -> list[Materialization]:
        """The materializations that this run recorded, in the order they were begun.

        ``inserted_at`` and ``updated_at`` are this process's; the store has the database's own.
        """
        return [recorded(draft) for draft in self._drafts if draft.recorded is not None]

    @property
    def ok(self) -> bool:
        """Whether every asset has its value; of a run that verifies, the same value again."""
        good = ("materialized", "reused", "verified")
        return all(status in good for status in self.statuses.values())

    def __getitem__(self, name: str) -> Any:
        """The value of an asset of this run.

        Raises:
            UnknownDependencyError: if the graph has no such asset; it names the nearest.
            ValueLostError: if there is no value: it failed, was not kept, or was lost; or if it
                is one of very many that were reused on the way to the targets, and was not read.
        """
        asset = self.plan.request.graph[name]
        version = self._versions.get(name)
        if version is None:
            state = self.statuses.get(name, "not part of this run")
            msg = f"asset {name!r} has no value: it is {state}"
            raise ValueLostError(msg)
        if version.pointer is None:
            if version.is_held:
                return version.held
            raise ValueLostError(f"the value of asset {name!r} was not kept; make it a target")
        if version.pointer.unread:
            msg = f"the value of asset {name!r} was reused without being read; make it a target"
            raise ValueLostError(msg)
        try:
            return Input(asset, version.pointer).take(self._values)
        except ValueLostError as error:
            raise ValueLostError(f"asset {name!r}: {error}; make it anew with force") from error

    def __contains__(self, name: object) -> bool:
        return name in self._versions

    def __repr__(self) -> str:
        return f"<RunResult {self.run_id}: {describe_counts(self.run.counts)}>"


def run_failed(result: RunResult) -> RunFailedError:
    """The error of a run, with the first failure as its cause."""
    differing = [name for name, status in result.statuses.items() if status == "differs"]
    by_failure: dict[int, list[str]] = {}
    for name, failure in result.failures.items():
        if name not in differing:
            by_failure.setdefault(id(failure), []).append(name)
    failed = [
        f"{' and '.join(names)} ({result.failures[names[0]].line})" for names in by_failure.values()
    ]
    skipped = [name for name, status in result.statuses.items() if status == "skipped"]
    cancelled = [name for name, status in result.statuses.items() if status == "cancelled"]
    message = f"failed: {', '.join(failed)}" if failed else ""
    if skipped and failed:
        message += f"; skipped for it: {', '.join(skipped)}"
    elif skipped:
        message = f"skipped: {', '.join(f'{name} ({result.plan[name].why})' for name in skipped)}"
    if differing:
        message += f"{'; ' if message else ''}not deterministic: {', '.join(differing)}"
    if cancelled:
        message += f"{'; ' if message else ''}cancelled: {', '.join(cancelled)}"
    error = RunFailedError(message, result)
    for failure in list(result.failures.values())[:1]:
        error.__cause__ = failure.exception
    for each in result.unclosed:
        error.add_note(str(each))
    return error


def not_closed(result: RunResult, errors: Sequence[ResourceError]) -> ResourceError:
    """The error of a run that is done but for closing its resources: the first, naming the rest."""
    first, *others = errors
    first.result = result
    for each in others:
        first.add_note(str(each))
    return first
