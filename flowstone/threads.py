"""Blocking work in threads, and whether an error is our own cancellation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
A = TypeVarTuple("A")


async def in_thread(
    work: Callable[[Unpack[A]], T], *arguments: *A, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Do blocking work in a thread, which whoever is cancelled meanwhile leaves to itself.

    Without a ``limiter`` it begins at once, also beyond anyio's own limit for all threads.
    """
    limiter = limiter or anyio.CapacityLimiter(math.inf)
    return await to_thread.run_sync(work, *arguments, limiter=limiter, abandon_on_cancel=True)


def is_stopped(error: BaseException) -> bool:
    """Whether the task that caught an error is being cancelled, and not something it called."""
    cancelled = isinstance(error, anyio.get_cancelled_exc_class())
    return cancelled and anyio.current_effective_deadline() == -math.inf
