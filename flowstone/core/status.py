"""The statuses of a materialization and the one table of legal transitions.

The database enforces the same table by a trigger; a test compares the two.
"""

from __future__ import annotations

from typing import Literal, get_args

Status = Literal[
    "pending",
    "running",
    "success",
    "failed",
    "stale",
    "waiting_approval",
    "skipped",
    "cancelled",
]
RunStatus = Literal["running", "success", "failed", "cancelled"]

STATUSES: tuple[Status, ...] = get_args(Status)

#: What may follow each status. ``success`` and ``failed`` straight from ``pending`` are rows
#: whose start and end were recorded together.
TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    "pending": ("running", "waiting_approval", "success", "failed", "skipped", "cancelled"),
    "running": ("success", "failed", "cancelled"),
    "waiting_approval": ("pending", "skipped", "cancelled"),
    "success": ("stale",),
    "failed": (),
    "stale": (),
    "skipped": (),
    "cancelled": (),
}

#: Statuses of rows that still wait for something; all others have ``completed_at``.
OPEN: tuple[Status, ...] = ("pending", "running", "waiting_approval")


def may_follow(present: Status, wanted: Status) -> bool:
    """Whether a row that is ``present`` may become ``wanted``."""
    return wanted in TRANSITIONS[present]


def sources(wanted: Status) -> tuple[Status, ...]:
    """The statuses from which a row may become ``wanted``."""
    return tuple(status for status in STATUSES if may_follow(status, wanted))
