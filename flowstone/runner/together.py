"""Questions to the store that many steps have at one moment, in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

K = TypeVar("K")
V = TypeVar("V")


class Together(Generic[K, V]):
    """Asks for several keys at once: for all that were wanted while the last answer was awaited."""

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask, self._asking = ask, anyio.Lock()
        self._next = _Batch[K, V]()

    async def __call__(self, keys: Iterable[K]) -> Mapping[K, V]:
        """The answers for these keys, as far as there are any, and perhaps for others.

        Raises:
            StoreError: if the store fails.
        """
        batch = self._next
        batch.keys.update(keys)
        async with self._asking:
            if batch.found is None:
                await checkpoint()  # steps that were ready along with this one want to join
                if batch is self._next:
                    self._next = _Batch()
                batch.found = await self._ask(list(batch.keys))
        return batch.found


class _Batch(Generic[K, V]):
    def __init__(self) -> None:
        self.keys: set[K] = set()
        self.found: Mapping[K, V] | None = None
