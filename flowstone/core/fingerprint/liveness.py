"""Which statements still count for the names they bind, when later ones bind them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Event(NamedTuple):
    """A statement as it is executed: what it binds, for good or perhaps, and what it reads then."""

    number: int
    binds: tuple[str, ...]
    replaces: bool
    reads: tuple[str, ...]


def live(events: list[Event], reach: Mapping[str, Iterable[str]]) -> dict[str, list[int]]:
    """The numbers of the statements that each name is made of, in order.

    A later unconditional binding replaces an earlier one, unless a statement in between that
    counts itself has read the name. ``reach`` says what else each name reads when it is used.
    """
    seen = [name for event in events for name in event.binds]
    names: dict[str, list[int]] = {name: [] for name in seen}
    again = len(seen) != len(names)
    replaced: set[str] = set()
    for event in reversed(events):
        counting = [name for name in event.binds if name not in replaced]
        for name in counting:
            names[name].insert(0, event.number)
        if not again or (event.binds and not counting):
            continue
        if event.replaces:
            replaced.update(event.binds)
        if replaced:
            replaced -= _closure(event.reads, reach)
    return names


def _closure(reads: Iterable[str], reach: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(reads)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += reach.get(name, ())
    return found
