"""All faults, by number; and which are left out, and why."""

from __future__ import annotations

from tests.faults import calls, kills, racing, servers

FAULTS = sorted(
    [*kills.FAULTS, *calls.FAULTS, *racing.FAULTS, *servers.FAULTS], key=lambda fault: fault.number
)
LEFT_OUT: dict[int, tuple[str, str]] = {}
