"""Python's collector of cyclic garbage, and when it has nothing to find."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def uncollected() -> Iterator[None]:
    """No cyclic collections: all that is made in here stays, and each would look at all of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """No collections while our modules are imported, and later ones pass over what is there.

    That is for a process so young that none has looked at all its objects yet: these are modules,
    functions and classes, which stay. To look at them again and again, and three times at the
    exit, would take longer than to open the database.
    """
    with uncollected():
        yield
    if not gc.get_stats()[-1]["collections"]:
        gc.freeze()
