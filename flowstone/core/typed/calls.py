"""Parameters of callables, held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.typed.forms import ANY, Param, Type

if TYPE_CHECKING:
    from collections.abc import Callable


class Arguments:
    """Whether a callable takes all the calls that another one promises to take.

    ``by_name``: whether parameters that may be given by name must have the same names.
    """

    def __init__(
        self, why_not: Callable[[Type, Type], str], params: tuple[Param, ...], *, by_name: bool
    ) -> None:
        self._fits = why_not
        self._by_name = by_name
        self._positional = [each for each in params if each.kind in ("/", "")]
        self._named = {each.name: each for each in params if each.kind in ("", "named")}
        self._many = next((each for each in params if each.kind == "*"), None)
        self._any_name = next((each for each in params if each.kind == "**"), None)
        self._used: set[int] = set()

    def why_not(self, wanted: tuple[Param, ...]) -> str:
        """Why a call with the other's parameters would fail; empty if none would."""
        position = 0
        for each in wanted:
            if each.kind in ("/", ""):
                reason = self._take_positional(position, each)
                position += 1
            elif each.kind == "named":
                reason = self._take_named(each)
            else:
                reason = self._take_many(each)
            if reason:
                return reason
        missing = [
            each
            for each in (*self._positional, *self._named.values())
            if each.required and id(each) not in self._used
        ]
        return f"parameter {missing[0].name!r} is missing" if missing else ""

    def _take_positional(self, position: int, wanted: Param) -> str:
        if position >= len(self._positional):
            return self._typed(self._many, wanted) if self._many else "it takes fewer parameters"
        own = self._positional[position]
        self._used.add(id(own))
        named = self._by_name and wanted.kind == "" and not wanted.name.startswith("__")
        if named and own.name != wanted.name and self._any_name is None:
            return f"its parameter is not named {wanted.name!r}"
        if own.required is True and not wanted.required:
            return f"parameter {wanted.name!r} has no default"
        return self._typed(own, wanted)

    def _take_named(self, wanted: Param) -> str:
        own = self._named.get(wanted.name, self._any_name)
        if own is None:
            return f"it has no parameter {wanted.name!r}"
        self._used.add(id(own))
        if own.required and not wanted.required:
            return f"parameter {wanted.name!r} has no default"
        return self._typed(own, wanted)

    def _take_many(self, wanted: Param) -> str:
        own = self._many if wanted.kind == "*" else self._any_name
        return self._typed(own, wanted) if own else f"it takes no {wanted.kind}{wanted.name}"

    def _typed(self, own: Param, wanted: Param) -> str:
        reason = self._fits(wanted.type, own.type)
        return reason and f"in a parameter, {reason}"


def takes_anything(params: tuple[Param, ...]) -> bool:
    """Whether parameters are ``*args, **kwargs`` of any type, which stand for all there are."""
    return [each.kind for each in params] == ["*", "**"] and all(p.type == ANY for p in params)
