"""IO managers for tests: files of JSON, with their data version beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.errors import ValueLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone import Product


class JsonFiles:
    """Keeps values as JSON files, and notes what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[tuple[str, ...]] = []
        self.products: list[Product] = []

    def data_version(self, value: Any, product: Product) -> str | None:
        self.products.append(product)
        return None if value else "nothing"

    def save(self, value: Any, product: Product) -> str:
        self.calls.append(("save", product.asset))
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"{product.asset}.json"
        file.write_text(json.dumps([product.data_version, value]))
        return str(file)

    def load(self, product: Product) -> Any:
        self.calls.append(("load", product.asset))
        try:
            version, value = json.loads(Path(product.address).read_text())
        except FileNotFoundError:
            raise ValueLostError("no such file") from None
        if version != product.data_version:
            raise ValueLostError("another version")
        return value

    def exists(self, products: Sequence[Product]) -> list[bool]:
        self.calls.append(("exists", *sorted(product.asset for product in products)))
        return [self._there(product) for product in products]

    def _there(self, product: Product) -> bool:
        file = Path(product.address)
        return file.exists() and json.loads(file.read_text())[0] == product.data_version


class Versioned(JsonFiles):
    """One that says of itself when its products are others."""

    version = "2"


class Copies:
    """Keeps files as copies named by their data version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def data_version(self, *_: object) -> None:
        """The canonical digest will do."""

    def save(self, value: Path, product: Product) -> str:
        self.folder.mkdir(exist_ok=True)
        return str(shutil.copy(value, self.folder / product.data_version))

    def load(self, product: Product) -> Path:
        return Path(product.address)

    def exists(self, products: Sequence[Product]) -> list[bool]:
        return [Path(product.address).exists() for product in products]
