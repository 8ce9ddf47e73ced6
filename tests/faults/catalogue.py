"""All faults, by number."""

from __future__ import annotations

from tests.faults import calls, existing, kills, programs, racing, servers

_FAMILIES = (kills, calls, racing, servers, programs, existing)
FAULTS = sorted(
    (fault for family in _FAMILIES for fault in family.FAULTS), key=lambda fault: fault.number
)
