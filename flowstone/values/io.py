"""IO managers: values that live elsewhere than in our value store, in a table or a bucket."""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from flowstone.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where ``io=`` says so, whatever is the default one step further out.
DEFAULT = "default"

_METHODS = ("save", "load", "exists", "data_version")


@dataclass(frozen=True, slots=True)
class Product:
    """The value of one asset and partition, as an IO manager is told of it.

    ``partition`` is the encoded key or None. ``run_id`` is the run at work, empty while planning.
    ``annotation`` is what the asset says it returns, evaluated. ``database_url`` is the
    connection string of the metadata store's database, or None if it has none; it may hold a
    password and is not shown. ``data_version`` is what is recorded or about to be; it is empty in
    the call of ``data_version``. ``address`` is what ``save`` gave, and empty before.
    """

    asset: str
    partition: str | None
    run_id: str
    annotation: Any = Any
    database_url: str | None = field(default=None, repr=False)
    data_version: str = ""
    address: str = ""


@runtime_checkable
class IOManager(Protocol):
    """Keeps values of assets elsewhere. Any object with these four methods is one.

    They are called in threads, by several runs at once, and never awaited. What ``save``,
    ``load`` or ``data_version`` raise is the failure of the asset at work. An attribute
    ``version`` (a text), if there is one, is part of the manager's identity, like the name of its
    class: values kept by another one are made again when they are needed. Its code and its
    arguments are not.
    """

    def save(self, value: Any, product: Product) -> str:
        """Keep ``value``, and give its address: a text of at most 2,000 characters.

        When this returns the value must be there whole; whoever reads meanwhile finds the old one
        or the new. It may be called again with the same value. ``product.data_version`` is to be
        kept with it, for ``exists``.
        """
        ...

    def load(self, product: Product) -> Any:
        """Give a value equal to the one saved at ``product.address``, of the same type.

        Raises:
            ValueLostError: if it is not there, or not what was saved; it is then made again.
        """
        ...

    def exists(self, products: Sequence[Product]) -> Sequence[bool]:
        """Say of each product whether its address still holds that data version.

        Called while planning, once for all products of this manager and of those equal to it;
        nothing is decoded.
        """
        ...

    def data_version(self, value: Any, product: Product) -> str | None:
        """A text that is the same for equal values only, or None for the canonical digest."""
        ...


def identity(manager: IOManager) -> str:
    """What recorded addresses name the manager by: its class, and its version if it has one."""
    version = getattr(manager, "version", None)
    name = type(manager).__qualname__
    return f"{name}@{version}" if isinstance(version, str) else name


def manager_of(given: object) -> IOManager | None:
    """The manager that ``io=`` names: itself, ``"package.module:object"``, or None.

    A class is called without arguments.

    Raises:
        SettingsError: if it can't be imported or lacks a method, or one is a coroutine function.
    """
    if given is None:
        return None
    found = _made(given) if isinstance(given, str | type) else given
    name = given if isinstance(given, str) else type(found).__qualname__
    lacking = [each for each in _METHODS if not callable(getattr(found, each, None))]
    if lacking:
        raise SettingsError(f"io={name!r} is no IO manager: it has no {', '.join(lacking)}()")
    for each in _METHODS:
        if inspect.iscoroutinefunction(getattr(found, each)):
            raise SettingsError(
                f"io={name!r}: {each}() is async; write it with def, it has a thread"
            )
    manager: IOManager = found  # type: ignore[assignment]  # its methods were looked for above
    return manager


@functools.cache
def _made(given: str | type) -> object:
    """The one object that a name or a class stands for in this process."""
    found = _imported(given) if isinstance(given, str) else given
    return found() if isinstance(found, type) else found


def _imported(name: str) -> object:
    module, _, path = name.partition(":")
    if not path:
        raise SettingsError(f"io={name[:200]!r} names no object; write package.module:object")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"io={name[:200]!r} can't be imported: {error}; write package.module:object"
        ) from None
    return found
