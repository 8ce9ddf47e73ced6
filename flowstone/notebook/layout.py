"""Where the boxes and arrows of a picture go: layers from left to right, few crossings.

A box stands right of all that it needs (longest path). Its layer is put in order by barycentres,
swept there and back, and its height is the one nearest to its neighbours that keeps that order
(least squares, by pooling adjacent violators). An arrow over several layers takes a lane in each,
shared by all arrows from the same box. After Sugiyama, Tagawa and Toda, "Methods for Visual
Understanding of Hierarchical System Structures" (1981).
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Point: TypeAlias = "tuple[float, float]"

BOX_HEIGHT = 28.0
_BOX_GAP = 12.0
_LANE_HEIGHT = 4.0
_COLUMN_GAP = 54.0
_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, by its upper left corner, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its centre line."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture's size, its boxes by name, and each arrow's points from source to target."""

    width: float
    height: float
    boxes: Mapping[str, Box]
    routes: Mapping[tuple[str, str], Sequence[Point]]


def arrange(widths: Mapping[str, float], needs: Mapping[str, Sequence[str]]) -> Layout:
    """Place boxes of the given widths; the same picture for the same graph.

    Args:
        widths: each box's width in pixels, every box after those it needs.
        needs: the boxes that each box needs.
    """
    grid = _Grid(list(widths), needs)
    grid.untangle()
    heights = grid.heights()
    return _drawn(grid, widths, needs, heights)


def _levels(names: Sequence[str], needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Each name's layer: after all it needs; one that needs nothing, next to what needs it."""
    level: dict[str, int] = {}
    for name in names:
        level[name] = max((level[need] + 1 for need in needs[name]), default=0)
    nearest: dict[str, int] = {}
    for name in names:
        for need in needs[name]:
            nearest[need] = min(nearest.get(need, level[name]), level[name])
    for name in names:
        if not needs[name] and name in nearest:
            level[name] = nearest[name] - 1
    return level


class _Grid:
    """Layers of items: boxes, and lanes for arrows that pass by."""

    def __init__(self, names: Sequence[str], needs: Mapping[str, Sequence[str]]) -> None:
        self.level = _levels(names, needs)
        self.item: dict[tuple[str, int], int] = {}
        self.names: list[str] = []
        self.layers: list[list[int]] = [[] for _ in range(max(self.level.values(), default=-1) + 1)]
        self.before: list[list[int]] = []
        self.after: list[list[int]] = []
        for name in names:
            self._add(name, self.level[name])
        self.boxes = len(self.names)
        for name in names:
            for need in needs[name]:
                self._link(need, name)

    def _add(self, name: str, level: int) -> int:
        number = self.item.setdefault((name, level), len(self.names))
        if number == len(self.names):
            self.names.append(name)
            self.layers[level].append(number)
            self.before.append([])
            self.after.append([])
        return number

    def _link(self, source: str, target: str) -> None:
        """An arrow, by lanes of its source through the layers between."""
        at = self.item[source, self.level[source]]
        for level in range(self.level[source] + 1, self.level[target]):
            lane = self._add(source, level)
            self._join(at, lane)
            at = lane
        self._join(at, self.item[target, self.level[target]])

    def _join(self, left: int, right: int) -> None:
        if right not in self.after[left]:
            self.after[left].append(right)
            self.before[right].append(left)

    def untangle(self) -> None:
        """Put each layer in the order with the fewest crossings that sweeping finds."""
        best, fewest = self.layers, self._crossings(self.layers)
        layers = [list(layer) for layer in self.layers]
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            forth = sweep % 2 == 0
            self._sweep(layers, self.before if forth else self.after, forth=forth)
            crossings = self._crossings(layers)
            if crossings < fewest:
                best, fewest = [list(layer) for layer in layers], crossings
        self.layers = best

    def _sweep(self, layers: list[list[int]], nearby: list[list[int]], *, forth: bool) -> None:
        order = range(1, len(layers)) if forth else range(len(layers) - 2, -1, -1)
        for level in order:
            beside = layers[level - 1 if forth else level + 1]
            place = {item: at for at, item in enumerate(beside)}
            middle: dict[int, float] = {}
            for at, item in enumerate(layers[level]):
                near = [place[each] for each in nearby[item]]
                middle[item] = sum(near) / len(near) if near else float(at)
            layers[level].sort(key=middle.__getitem__)

    def _crossings(self, layers: list[list[int]]) -> int:
        found = 0
        for level, layer in enumerate(layers[1:]):
            place = {item: at for at, item in enumerate(layers[level])}
            seen: list[int] = []
            for item in layer:
                ends = [place[each] for each in self.before[item]]
                found += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
                for end in ends:
                    bisect.insort(seen, end)
        return found

    def heights(self) -> list[float]:
        """The height of each item's centre: near its neighbours, in order, nothing overlapping."""
        centre = [0.0] * len(self.names)
        for layer in self.layers:
            self._settle(layer, centre, [0.0] * len(layer))
        for nearby in (self.before, self.after) * 3 + (self.before,):
            forth = nearby is self.before
            for layer in self.layers if forth else reversed(self.layers):
                wanted = [self._wanted(item, nearby, centre) for item in layer]
                self._settle(layer, centre, wanted)
        top = min((centre[i] - self.height(i) / 2 for i in range(len(centre))), default=0.0)
        return [each - top for each in centre]

    @staticmethod
    def _wanted(item: int, nearby: list[list[int]], centre: list[float]) -> float:
        near = [centre[each] for each in nearby[item]]
        return sum(near) / len(near) if near else centre[item]

    def height(self, item: int) -> float:
        """How high an item is."""
        return BOX_HEIGHT if item < self.boxes else _LANE_HEIGHT

    def _settle(self, layer: list[int], centre: list[float], wanted: list[float]) -> None:
        """Give a layer the heights nearest to the wanted ones that keep order and distance."""
        offsets: list[float] = []
        below = 0.0
        for item in layer:
            offsets.append(below + self.height(item) / 2)
            below += self.height(item) + _BOX_GAP
        pools: list[tuple[float, int]] = []
        for want, offset in zip(wanted, offsets, strict=True):
            total, members = want - offset, 1
            while pools and pools[-1][0] / pools[-1][1] > total / members:
                earlier, others = pools.pop()
                total, members = total + earlier, members + others
            pools.append((total, members))
        shifts = [total / members for total, members in pools for _ in range(members)]
        for item, shift, offset in zip(layer, shifts, offsets, strict=True):
            centre[item] = shift + offset


def _drawn(
    grid: _Grid,
    widths: Mapping[str, float],
    needs: Mapping[str, Sequence[str]],
    heights: list[float],
) -> Layout:
    columns: list[tuple[float, float]] = []
    x = 0.0
    for layer in grid.layers:
        width = max((widths[grid.names[i]] for i in layer if i < grid.boxes), default=0.0)
        columns.append((x, x + width))
        x += width + _COLUMN_GAP
    boxes: dict[str, Box] = {}
    for name, level in grid.level.items():
        left, right = columns[level]
        middle = heights[grid.item[name, level]]
        boxes[name] = Box(left, middle - BOX_HEIGHT / 2, right - left, BOX_HEIGHT)
    routes: dict[tuple[str, str], list[Point]] = {}
    for name, box in boxes.items():
        for need in needs[name]:
            source = boxes[need]
            route = [(source.x + source.width, source.middle)]
            for level in range(grid.level[need] + 1, grid.level[name]):
                lane = heights[grid.item[need, level]]
                route += [(columns[level][0], lane), (columns[level][1], lane)]
            routes[need, name] = [*route, (box.x, box.middle)]
    height = max((box.y + box.height for box in boxes.values()), default=0.0)
    height = max([height, *heights])
    return Layout(max(x - _COLUMN_GAP, 0.0), height, boxes, routes)
