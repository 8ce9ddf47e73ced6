"""All faults, by number; and which are left out, and why."""

from __future__ import annotations

from tests.faults import calls, existing, kills, programs, racing, servers

_FAMILIES = (kills, calls, racing, servers, programs, existing)
FAULTS = sorted(
    (fault for family in _FAMILIES for fault in family.FAULTS), key=lambda fault: fault.number
)
LEFT_OUT = {
    9: ("database full", "no right to mount a small disk; what the server says then is in 15"),
}
