"""Hooks: functions of the user's that are called when an asset, or a run, has ended.

They are called after the commit, one after the other, beside the run: a slow one delays no step,
and one that raises fails nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from flowstone.runner.events import RunFinished, StepFinished
from flowstone.runner.failure import describe
from flowstone.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.core.context import Logger
    from flowstone.core.policy import Hook, Policy
    from flowstone.runner.events import Event

#: Seconds that hooks have left when the run has ended.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class OfCall:
    """The hooks of one call, which are called once with the ``RunFinished`` of its run."""

    on_success: Sequence[Hook] = ()
    on_failure: Sequence[Hook] = ()


class Hooks:
    """A listener that calls the hooks of assets, and of the call that started the run.

    Hooks of an asset get its ``StepFinished``, those of the call the ``RunFinished``, which names
    what failed. A coroutine function runs on the event loop of the run, any other in a thread.

    ``policy`` gives the policy of an asset by its name. ``errors`` holds a line for each hook that
    raised or did not end; ``log`` gets the same.
    """

    def __init__(
        self, policy: Callable[[str], Policy], log: Logger, of_call: OfCall | None = None
    ) -> None:
        self._policy, self._log = policy, log
        self._of_call = of_call or OfCall()
        self._due: deque[tuple[Hook, str, StepFinished | RunFinished]] = deque()
        self._failed: list[str] = []
        self._calling: asyncio.Task[None] | None = None
        self._called = ""
        self.errors: list[str] = []

    def __call__(self, event: Event) -> None:
        """Have the hooks called that want this event; it is called on the event loop."""
        if isinstance(event, StepFinished):
            self._step(event)
        elif isinstance(event, RunFinished):
            hooks = self._of_call.on_success if event.status == "success" else ()
            hooks = self._of_call.on_failure if event.status == "failed" else hooks
            self._call(hooks, "of the run", replace(event, failed=tuple(self._failed)))

    async def finish(self, patience: float = PATIENCE) -> list[str]:
        """Wait until all are called, also while being cancelled; gives ``errors``.

        What has not ended after so many seconds is left to itself.
        """
        if self._calling is not None:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._calling], timeout=patience)
            if not self._calling.done():
                self._calling.cancel()
                more = f", {len(self._due)} more were not called" if self._due else ""
                self._note(f"{self._called} did not end within {patience:g} s{more}")
        return self.errors

    def _step(self, event: StepFinished) -> None:
        if event.ending == "materialized":
            hooks = self._policy(event.asset).on_success
        elif event.ending == "failed":
            self._failed.append(event.asset)
            hooks = self._policy(event.asset).on_failure
        else:
            return
        self._call(hooks, f"of {event.asset}", event)

    def _call(self, hooks: Sequence[Hook], whose: str, event: StepFinished | RunFinished) -> None:
        if not hooks:
            return
        self._due.extend((hook, whose, event) for hook in hooks)
        if self._calling is None or self._calling.done():
            self._calling = asyncio.get_running_loop().create_task(self._call_all())

    async def _call_all(self) -> None:
        while self._due:
            hook, whose, event = self._due.popleft()
            self._called = f"hook {getattr(hook, '__name__', type(hook).__name__)} {whose}"
            try:
                if inspect.iscoroutinefunction(hook):
                    await hook(event)
                elif inspect.isawaitable(result := await in_thread(hook, event)):
                    await result
            except BaseException as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                    raise
                self._note(f"{self._called} raised {describe(error).line}")

    def _note(self, told: str) -> None:
        self.errors.append(told)
        self._log.error(told)
