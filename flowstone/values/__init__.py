"""Where the values of assets are kept, and how they become bytes and come back."""

from __future__ import annotations

from flowstone.values.sharing import is_shareable
from flowstone.values.store import INLINE_LIMIT, Saved, ValueStore

__all__ = ["INLINE_LIMIT", "Saved", "ValueStore", "is_shareable"]
