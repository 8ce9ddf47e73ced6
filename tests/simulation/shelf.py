"""Where values are that are not in the store: on a shelf, from which they may be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.errors import ValueLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.values import Product


class Shelf:
    """An ``IOManager`` whose values are found by an address that is never used again.

    With ``later``, which it is not to have, values come there some time after it said so.
    """

    def __init__(self) -> None:
        self._values: dict[str, int] = {}
        self._count = 0
        self.later: Callable[[Callable[[], None]], None] | None = None

    def save(self, value: Any, product: Product) -> str:
        self._count += 1
        address = f"{product.asset}-{self._count}"
        if self.later is None:
            self._values[address] = value
        else:
            self.later(lambda: self._values.update({address: value}))
        return address

    def load(self, product: Product) -> Any:
        if product.address not in self._values:
            raise ValueLostError(product.address)
        return self._values[product.address]

    def exists(self, products: Sequence[Product]) -> Sequence[bool]:
        return [product.address in self._values for product in products]

    def data_version(self, value: Any, product: Product) -> str | None:
        del value, product
        return None

    def at(self, location: str | None) -> int | None:
        """The value at a recorded location."""
        return self._values.get((location or "").partition(" ")[2])

    def lose(self, location: str | None) -> None:
        """Have it no more."""
        self._values.pop((location or "").partition(" ")[2], None)
