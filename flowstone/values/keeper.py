"""Who keeps an asset's value: the value store, or an IO manager; the same verbs for both."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flowstone.core.records import ValuePointer
from flowstone.core.text import clean, safe_str
from flowstone.errors import UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.values.io import DEFAULT, Product, identity, manager_of
from flowstone.values.store import Saved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.values.io import IOManager
    from flowstone.values.store import ValueStore

#: The codec of values that an IO manager keeps.
CODEC = "io"
_TEXT_LIMIT = 2_000
_REASON_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Keeper:
    """Saves and loads the values of assets, for one run or one plan.

    ``io`` keeps the assets that don't say otherwise; None is the value store. ``run_id`` is empty
    while planning. ``database_url`` is handed to IO managers.
    """

    values: ValueStore
    io: IOManager | None = None
    partition: str | None = None
    run_id: str = ""
    database_url: str | None = field(default=None, repr=False)

    def manager(self, asset: AnyAsset) -> IOManager | None:
        """The manager that keeps an asset's values, or None for the value store."""
        return self.io if asset.io == DEFAULT else manager_of(asset.io)

    def save(self, asset: AnyAsset, value: Any, stated: str = "") -> Saved:
        """Keep a value; ``stated`` is the data version its function gave, if it did.

        Raises what the manager raises, and UnserializableValueError if the value store takes no
        such value.
        """
        manager = self.manager(asset)
        if manager is None:
            saved = self.values.save_small(value) or self.values.save(value, asset.returns)
            return Saved(saved.pointer, stated) if stated else saved
        product = self._product(asset)
        version = stated or _own_version(manager, value, product) or self._canonical(value)
        address: object = manager.save(value, replace(product, data_version=version))
        if not isinstance(address, str) or not _is_kept_as_it_is(address):
            raise UnserializableValueError(
                f"{identity(manager)}.save() gave no address: a text of at most "
                f"{_TEXT_LIMIT:,} characters without NUL, to find the value again"
            )
        location = f"{identity(manager)} {address}"
        return Saved(
            ValuePointer(codec=CODEC, size=0, content_digest=version, location=location), version
        )

    def load(self, asset: AnyAsset, pointer: ValuePointer) -> Any:
        """Give the value, decoded afresh.

        Raises ValueLostError if it isn't there any more, and what the manager raises.
        """
        if pointer.codec != CODEC:
            return self.values.load(pointer, asset.returns)
        manager, product = self.manager(asset), self._kept(asset, pointer)
        if manager is None or product is None:
            raise ValueLostError(f"the value of {asset.name!r} was kept by another IO manager")
        return manager.load(product)

    def present(self, kept: Sequence[tuple[AnyAsset, ValuePointer]]) -> list[bool]:
        """Say of each value whether it is there, and kept by who keeps that asset now.

        Managers that are equal are asked once. Raises ValueStoreError if one of them can't say.
        """
        answers = [False] * len(kept)
        ours: list[int] = []
        asked: dict[object, tuple[IOManager, list[tuple[int, Product]]]] = {}
        for number, (asset, pointer) in enumerate(kept):
            manager, product = self.manager(asset), self._kept(asset, pointer)
            if manager is None and pointer.codec != CODEC:
                ours.append(number)
            elif manager is not None and product is not None:
                asked.setdefault(_key(manager), (manager, []))[1].append((number, product))
        for number, there in zip(
            ours, self.values.present([kept[n][1] for n in ours]), strict=True
        ):
            answers[number] = there
        for manager, products in asked.values():
            found = _exist(manager, [product for _, product in products])
            for (number, _), there in zip(products, found, strict=True):
                answers[number] = there
        return answers

    def _product(self, asset: AnyAsset) -> Product:
        return Product(asset.name, self.partition, self.run_id, asset.returns, self.database_url)

    def _kept(self, asset: AnyAsset, pointer: ValuePointer) -> Product | None:
        """The product at a pointer, or None if the asset's manager of now did not make it."""
        manager = self.manager(asset)
        if manager is None or pointer.codec != CODEC:
            return None
        mark = f"{identity(manager)} "
        location = pointer.location or ""
        if not location.startswith(mark):
            return None
        return replace(
            self._product(asset),
            data_version=pointer.content_digest,
            address=location.removeprefix(mark),
        )

    def _canonical(self, value: Any) -> str:
        """The version of a value's canonical form, or one that equals no other."""
        return self.values.version(value) or f"unlike-{uuid.uuid4().hex}"


def _own_version(manager: IOManager, value: Any, product: Product) -> str | None:
    version: object = manager.data_version(value, product)
    if version is not None and not isinstance(version, str):
        raise UnserializableValueError(
            f"{identity(manager)}.data_version() gave a value of {type(version).__name__}, not a"
            " text or None"
        )
    if version is not None and not _is_kept_as_it_is(version):
        raise UnserializableValueError(
            f"{identity(manager)}.data_version() gave a text that can't be kept: write at most"
            f" {_TEXT_LIMIT:,} characters without NUL, a digest for example"
        )
    return version


def _is_kept_as_it_is(text: str) -> bool:
    """Whether the database gives back the same, and not at anybody's cost."""
    return len(text) <= _TEXT_LIMIT and clean(text) == text


def _key(manager: IOManager) -> object:
    try:
        hash(manager)
    except TypeError:
        return id(manager)
    return manager


def _exist(manager: IOManager, products: Sequence[Product]) -> list[bool]:
    try:
        found = [bool(there) for there in manager.exists(products)]
    except Exception as error:
        reason = f"{type(error).__name__}: {safe_str(error, _REASON_LIMIT)}"
        raise ValueStoreError(f"{identity(manager)}.exists() failed: {reason}") from error
    if len(found) != len(products):
        raise ValueStoreError(
            f"{identity(manager)}.exists() gave {len(found)} answers for {len(products)} products"
        )
    return found
