"""Where the values of assets are kept, and how they become bytes and come back."""

from __future__ import annotations

from flowstone.values.bulk import frame_digest
from flowstone.values.io import DEFAULT, IOManager, Product, manager_of
from flowstone.values.keeper import Keeper
from flowstone.values.sharing import handed_out, is_shareable, owner_of
from flowstone.values.small import is_small
from flowstone.values.store import INLINE_LIMIT, Saved, ValueStore

__all__ = [
    "DEFAULT",
    "INLINE_LIMIT",
    "IOManager",
    "Keeper",
    "Product",
    "Saved",
    "ValueStore",
    "frame_digest",
    "handed_out",
    "is_shareable",
    "is_small",
    "manager_of",
    "owner_of",
]
