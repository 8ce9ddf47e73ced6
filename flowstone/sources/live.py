"""What live objects say that texts can't: what was put in the place of something, what is held."""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import Asset
from flowstone.core.code import Remark
from flowstone.core.config import is_secret
from flowstone.core.fingerprint.expand import Extra
from flowstone.core.fingerprint.names import words
from flowstone.core.hashing import digest
from flowstone.core.objects import peek
from flowstone.errors import HashingError
from flowstone.sources.follow import Walk

if TYPE_CHECKING:
    from flowstone.core.fingerprint.link import Module, Node
    from flowstone.core.fingerprint.summary import Part
    from flowstone.sources.locate import Places

_CONTAINERS = (dict, list, tuple, set, frozenset)
_MAX_HELD = 10_000
#: Modules whose objects are what the arguments they were made from say.
_DETERMINED = words(
    "_operator _struct _thread builtins collections datetime decimal enum fractions functools"
    " itertools operator pathlib re types typing uuid zoneinfo"
)


class LiveObjects:
    """What live objects say about code."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def follow(self, value: Any) -> Extra:
        """What an object is made of, as texts and nodes."""
        found = Extra()
        Walk(self._places, found).follow(value)
        return found

    def follow_asset(self, asset: Asset[..., Any]) -> Extra:
        """What an asset's function is made of; its own defaults are config and left out."""
        found = Extra()
        Walk(self._places, found).root(asset.fn)
        return found

    def besides(self, node: Node, module: Module) -> Extra | None:
        """What to add to a name: what was put in its place, and what its container holds."""
        if module.namespace is None or node.name not in module.namespace:
            return None
        value = module.namespace[node.name]
        parts = module.parts(node.name)
        kind = parts[-1].kind if parts else ""
        if kind == "function":
            return self._replaced(value, node, module, parts) or _registry(self._places, value)
        if kind != "value":
            return None
        if len(parts) == 1 and parts[0].literal:
            return self._set_elsewhere(value, node, module, parts[0])
        return self._holding(value) or _formless(value, node, module, parts[-1])

    def value(self, node: Node, module: Module) -> Extra:
        """What stands for a global that no statement sets."""
        found = Extra()
        walk = Walk(self._places, found, unknown=True)
        walk.place = module.file
        walk.name = f"{module.label}.{node.name}"
        walk.follow((module.namespace or {}).get(node.name))
        return found

    def _replaced(self, value: Any, node: Node, module: Module, parts: list[Part]) -> Extra | None:
        """A function that is not the one its module defines was put there by somebody."""
        part = parts[-1]
        fn = value.fn if isinstance(value, Asset) else value
        if part.is_decorated or len(parts) > 1 or not isinstance(fn, types.FunctionType):
            return None
        same = fn.__globals__ is module.namespace and fn.__code__.co_name == part.name
        if (
            same
            and module.line_of(fn.__code__.co_filename, fn.__code__.co_firstlineno) == part.line
        ):
            return None
        if hasattr(fn, "__wrapped__") and isinstance(value, Asset):
            return None
        found = self.follow(fn)
        text = f"{module.label}.{node.name} is another function than its module defines; both count"
        found.remarks.append(Remark("assumed", text, module.place(part.line)))
        return found

    def _set_elsewhere(self, value: Any, node: Node, module: Module, part: Part) -> Extra | None:
        """A constant that is not what its module says was set by somebody: its value counts."""
        if is_secret(node.name, value):
            return None
        found = Extra()
        try:
            made = digest(value)
        except HashingError:
            made = type(value).__qualname__
        if made == part.literal or _is_rebound(module, node.name):
            return None
        found.add(made)
        text = f"{module.label}.{node.name} is not what its module sets it to; its value counts"
        found.remarks.append(Remark("assumed", text, module.place(part.line)))
        return found

    def _holding(self, value: Any) -> Extra | None:
        """Functions and classes that a container of the module holds now."""
        if type(value) not in _CONTAINERS:
            return _registry(self._places, value)
        values = value.values() if isinstance(value, dict) else value
        if len(values) > _MAX_HELD:
            return None
        held = list(self._places.nodes(values))
        return Extra(held=held) if held else None


def _formless(value: Any, node: Node, module: Module, part: Part) -> Extra | None:
    """A global whose value can't be written down counts by its source, and that is told."""
    if has_form(value) or callable(value):
        return None
    text = (
        f"{module.label}.{node.name} is a {type(value).__name__}, which has no canonical form;"
        " it counts by its source"
    )
    return Extra(remarks=[Remark("assumed", text, module.place(part.line))])


def _registry(places: Places, value: Any) -> Extra | None:
    """What was registered with a ``functools.singledispatch`` function."""
    registry = peek(value, "registry")
    if not isinstance(registry, types.MappingProxyType):
        return None
    held = list(places.nodes(registry.values()))
    return Extra(held=held) if held else None


def has_form(value: Any) -> bool:
    """Whether values of this type can be written down, or follow from what made them."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in _DETERMINED or isinstance(value, (enum.Enum, Asset)):
        return True
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return True
    return dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__")


def _is_rebound(module: Module, name: str) -> bool:
    """Whether functions of the module set the name while they run."""
    return any(name in part.mutates for part in module.summary.parts)
