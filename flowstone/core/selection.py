"""The selection language: which assets of a graph are meant.

=============  ==================================================================
``orders``     the asset of that name
``raw_*``      all names that match; ``*`` any text, ``?`` one character
``tag:x``      all assets with the tag (also with ``*`` and ``?``)
``group:y``    all assets of the group (also with ``*`` and ``?``)
``+a``         ``a`` and all it needs; ``2+a`` at most two steps away
``a+``         ``a`` and all that need it; ``a+2`` at most two steps away
``a b``        union: one of them (several arguments mean the same)
``a,b``        intersection: both of them
``^a``         exclusion: without ``a``, within its intersection or union
=============  ==================================================================

``^tag:slow`` alone means every asset but those. An unknown plain name is an error, a pattern that
matches nothing is told apart from it.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from flowstone.core.naming import named
from flowstone.errors import EmptySelectionError, SelectionError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.core.dag import AssetGraph

_FACTOR = re.compile(
    r"(?P<without>\^?)(?:(?P<up>[0-9]{0,9})\+)?"
    r"(?P<atom>(?!(?:tag|group):(?:\+|\Z))[^\s+,^]+)"
    r"(?:\+(?P<down>[0-9]{0,9}))?\Z"
)


def select(graph: AssetGraph, selections: Sequence[str], exclude: Sequence[str]) -> set[str]:
    """The names that any of ``selections`` means (all, if there is none) less ``exclude``.

    Raises:
        SelectionError: for what can't be read, or names an unknown asset.
        EmptySelectionError: when nothing is left.
    """
    terms = list(_terms(selections))
    chosen = _combine(terms, graph)
    for term in _terms(exclude):
        chosen -= _Factors(graph, term).names()
    if not chosen:
        written = " ".join(terms) or "the whole graph"
        without = f" without {' '.join(exclude)}" if exclude else ""
        msg = f"selection '{written}'{without} matches no asset"
        raise EmptySelectionError(msg)
    return chosen


def _terms(selections: Sequence[str]) -> Iterator[str]:
    for selection in selections:
        terms = selection.split()
        if not terms:  # perhaps an unset variable of a shell: never the whole graph
            raise SelectionError("a selection is empty; leave it out to mean all assets")
        yield from map(named, terms)


def _combine(terms: Sequence[str], graph: AssetGraph) -> set[str]:
    chosen = {term for term in terms if term in graph}  # no name can be read as anything else
    others = [_Factors(graph, term) for term in terms if term not in chosen]
    taken = [term for term in others if not term.only_excludes]
    chosen.update(*(term.names() for term in taken))
    if not taken and not chosen:
        chosen.update(graph.names)
    for term in others:
        if term.only_excludes:
            chosen -= term.excluded()
    return chosen


class _Factors:
    """One term: factors joined by commas, of which those with ``^`` take away."""

    def __init__(self, graph: AssetGraph, term: str) -> None:
        self._graph = graph
        matches = [_FACTOR.match(factor) for factor in term.split(",")]
        if not all(matches):
            msg = (
                f"can't read the selection {term!r}; write names, tag:x or group:y, with + before"
                f" or after, commas for 'and', spaces for 'or', ^ for 'without'"
            )
            raise SelectionError(msg)
        self._factors = [match for match in matches if match]
        self.only_excludes = all(factor["without"] for factor in self._factors)

    def names(self) -> set[str]:
        taken = [self._one(f) for f in self._factors if not f["without"]]
        chosen = set.intersection(*taken) if taken else set(self._graph.names)
        return chosen - self.excluded()

    def excluded(self) -> set[str]:
        return set().union(*(self._one(f) for f in self._factors if f["without"]))

    def _one(self, factor: re.Match[str]) -> set[str]:
        names = _atom(self._graph, factor["atom"])
        up, down = factor["up"], factor["down"]
        upward = _reach(names, self._graph.dependencies, up) if up is not None else set()
        downward = _reach(names, self._graph.dependents, down) if down is not None else set()
        return names | upward | downward


def _atom(graph: AssetGraph, atom: str) -> set[str]:
    kind, colon, pattern = atom.partition(":")
    if colon and kind == "tag":
        return _matching(graph, pattern, lambda asset: asset.tags)
    if colon and kind == "group":
        return _matching(graph, pattern, lambda asset: (asset.group,) if asset.group else ())
    if any(mark in atom for mark in "*?["):
        return _matching(graph, atom, lambda asset: (asset.name,))
    if atom not in graph:
        several = graph.made_by(atom)
        if several:
            return set(several)
        msg = f"no asset named {atom!r}" + did_you_mean(atom, graph.names)
        raise SelectionError(msg)
    return {atom}


def _matching(
    graph: AssetGraph, pattern: str, words: Callable[[AnyAsset], Iterable[str]]
) -> set[str]:
    return {a.name for a in graph if any(fnmatchcase(word, pattern) for word in words(a))}


def _reach(names: set[str], step: Callable[[str], list[str]], limit: str) -> set[str]:
    """All that ``step`` leads to from ``names``, at most ``limit`` steps away (no limit: all)."""
    seen, front, left = set(names), set(names), int(limit) if limit else -1
    while front and left != 0:
        front = {found for name in front for found in step(name)} - seen
        seen |= front
        left -= 1
    return seen
