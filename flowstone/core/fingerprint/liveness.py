"""Which statements a name is made of, when later ones bind it again, and what earlier ones saw."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Event(NamedTuple):
    """A statement as it is executed: what it binds, for good or perhaps, and what it reads then."""

    number: int
    binds: tuple[str, ...]
    replaces: bool
    reads: tuple[str, ...]


class Lives(NamedTuple):
    """The statements that make up each name at the end, in order.

    ``past`` gives, for a statement, those it made use of when it was executed that have been
    replaced since.
    """

    names: dict[str, list[int]]
    past: dict[int, list[int]]


def live(events: list[Event], reach: Mapping[str, Iterable[str]]) -> Lives:
    """Follow the bindings of a module's names through its statements.

    A later unconditional binding replaces earlier ones; any other adds to them. ``reach`` says
    what else each name reads when it is used.
    """
    bound = Counter(name for event in events for name in event.binds)
    again = {name for name, times in bound.items() if times > 1}
    now: dict[str, list[int]] = {}
    used: dict[int, set[tuple[str, int]]] = {}
    for event in events:
        if again and event.reads:
            seen = _closure(event.reads, reach) & again
            used[event.number] = {(name, held) for name in seen for held in now.get(name, ())}
        for name in event.binds:
            now[name] = [event.number] if event.replaces else [*now.get(name, ()), event.number]
    past: dict[int, list[int]] = {}
    for number, seen_then in used.items():
        gone = sorted({held for name, held in seen_then if held not in now[name]} - {number})
        if gone:
            past[number] = gone
    return Lives(now, past)


def _closure(reads: Iterable[str], reach: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(reads)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += reach.get(name, ())
    return found
