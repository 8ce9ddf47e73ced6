"""Assets in another process: found again by name, or sent along with their functions."""

from __future__ import annotations

import copyreg
import functools
import importlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core.asset import Asset
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from types import ModuleType

    from flowstone.core.asset import AnyAsset

#: What a call needs of an asset; the rest is for planning, and may hold half the program.
_NEEDED = (
    "name",
    "fn",
    "keep",
    "share",
    "io",
    "validate",
    "maker",
    "outputs",
    "__module__",
    "__name__",
    "__qualname__",
)
_BLANK: dict[str, Any] = {
    "_names": None,
    "_original": None,
    "parameters": (),
    "edges": [],
    "depends_on": [],
    "problems": [],
}


class Name(NamedTuple):
    """Where another process finds an asset: an attribute of a module, perhaps one of its outputs.

    ``file`` is where the module was imported from here; empty if it has no file.
    """

    module: str
    file: str
    attribute: str
    output: str = ""


def name_of(asset: AnyAsset) -> Name | None:
    """Where the asset is found; None for one of a script, a notebook or a function body."""
    definition = (asset.maker or asset).original
    module = sys.modules.get(getattr(definition, "__module__", ""))
    if module is None or module.__name__ == "__main__":
        return None
    attribute = _attribute(module, definition)
    if not attribute:
        return None
    file = getattr(module, "__file__", None) or ""
    return Name(module.__name__, file, attribute, asset.name if asset.maker else "")


def find(name: Name) -> AnyAsset:
    """The asset of that name, whose module is imported if need be.

    Raises:
        DefinitionError: if there is none, or the module is another one here.
        Exception: whatever the module raises when it is imported.
    """
    return _found(*name)


@functools.cache
def _found(module: str, file: str, attribute: str, output: str) -> AnyAsset:
    found: Any = imported(module, file)
    for part in attribute.split("."):
        found = getattr(found, part, None)
    asset = found.outputs.get(output) if output and isinstance(found, Asset) else found
    if not isinstance(asset, Asset):
        msg = f"module {module!r} has no asset {output or attribute!r} when it is imported anew"
        raise DefinitionError(
            f"{msg}; define it there whoever imports it, or use executor='thread'"
        )
    return asset


def imported(name: str, file: str) -> ModuleType:
    """A module by its name, or from its file where the name leads nowhere.

    Raises:
        DefinitionError: if the name leads to another file.
        Exception: whatever the module raises when it is imported.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not file or not f"{name}.".startswith(f"{error.name}."):
            raise
        return _from_file(name, file)
    found = getattr(module, "__file__", None) or ""
    if file and found and not _is_same(found, file):
        msg = f"module {name!r} is {file} in this run, and {found} in its processes"
        raise DefinitionError(f"{msg}; rename one of them, or use executor='thread'")
    return module


def _from_file(name: str, file: str) -> ModuleType:
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"module {name!r} can't be imported from {file}")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_same(one: str, other: str) -> bool:
    return one == other or Path(one).resolve() == Path(other).resolve()


def _attribute(module: ModuleType, definition: AnyAsset) -> str:
    """The attribute that holds an asset: mostly the one its function was defined as."""
    found: Any = module
    name: str = getattr(definition, "__qualname__", "")
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is definition:
        return name
    return next((key for key, value in vars(module).items() if value is definition), "")


def crossing(asset: AnyAsset) -> tuple[Any, ...]:
    """How an asset is pickled for another process: by its name, or what a call needs of it."""
    name = name_of(asset)
    if name is not None:
        return find, (name,)
    return copyreg.__newobj__, (Asset,), _needed(asset)  # type: ignore[attr-defined]  # what object.__reduce_ex__ uses


def without_function(asset: AnyAsset) -> AnyAsset:
    """The asset for those who only read its value."""
    if name_of(asset) is not None:
        return asset
    bare = Asset.__new__(Asset)
    vars(bare).update(_needed(asset) | {"fn": None, "maker": None, "outputs": {}})
    return bare


def _needed(asset: AnyAsset) -> dict[str, Any]:
    state = {name: value for name, value in vars(asset).items() if name in _NEEDED}
    return state | _BLANK | {"returns": asset.returns}
