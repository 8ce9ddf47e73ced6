"""The versions that steps read: which stand, who holds their objects, who will yet take them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.errors import ValueLostError
from flowstone.values import handed_out, is_shareable, owner_of

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.core.records import Draft, Materialization, ValuePointer
    from flowstone.values import Keeper

_NOTHING = object()


@dataclass(slots=True)
class Input:
    """One consumer's claim on an asset's value that has to be decoded first."""

    asset: AnyAsset
    pointer: ValuePointer | None

    def take(self, values: Keeper) -> Any:
        """The value.

        Raises:
            ValueLostError: if the stored value is missing or altered.
        """
        if self.pointer is None:
            msg = f"the value of {self.asset.name!r} was not kept"
            raise ValueLostError(msg)
        return handed_out(values.load(self.asset, self.pointer))


@dataclass(slots=True)
class Version:
    """What those who read an asset get: which materialization, its data version, its value.

    ``held`` is the very object the function returned, kept while ``takers`` steps still want it,
    and beyond if it is ``lasting``: the caller asked for it, and nothing else keeps it.
    """

    asset: AnyAsset
    id: uuid.UUID
    data_version: str
    pointer: ValuePointer | None
    held: Any = _NOTHING
    takers: int = 0
    lasting: bool = False
    _shared: bool = False
    _guarded: bool = False

    @classmethod
    def of(cls, asset: AnyAsset, made: Materialization, takers: int = 0) -> Version:
        """The version that a recorded materialization is."""
        return cls(asset, made.id, made.data_version or "", made.value, takers=takers)

    @property
    def is_held(self) -> bool:
        """Whether the object is still in memory."""
        return self.held is not _NOTHING

    @property
    def must_be_read(self) -> bool:
        """Whether the bytes of its inline value have to be read before anybody can take it."""
        return self.held is _NOTHING and self.pointer is not None and self.pointer.unread

    def hold(self, value: Any) -> None:
        """Keep the object for those who take it."""
        self.held = value
        self._shared = self.pointer is None or self.asset.share or is_shareable(value)
        self._guarded = owner_of(value) != ""

    def read(self, data: bytes) -> None:
        """Take in the bytes of an inline value that the row was read without."""
        if self.pointer is not None:
            self.pointer = self.pointer.model_copy(update={"inline": data})

    def claim(self, *, by_reference: bool = False) -> Any:
        """The value for one consumer; no other consumer sees what this one does to it.

        Values that nobody can change are shared, and so is what the asset says may be. Of
        anything else the last taker gets the object itself, all others an ``Input``: a copy to be
        decoded from the stored bytes. A value that is not kept has no bytes: it is shared. The
        object is let go with its last taker, unless it is ``lasting``. ``by_reference`` prefers
        an ``Input`` where there are stored bytes.
        """
        self.takers -= 1
        last, held = self.takers <= 0, self.held
        if last and not self.lasting:
            self.held = _NOTHING
        if by_reference and self._is_readable:
            return Input(self.asset, self.pointer)
        if held is _NOTHING or not (last or self._shared):
            return Input(self.asset, self.pointer)
        return handed_out(held) if self._guarded else held

    @property
    def _is_readable(self) -> bool:
        pointer = self.pointer
        return pointer is not None and not pointer.unread and not pointer.is_path

    def expect(self, takers: int) -> None:
        """More takers will come than were counted, or fewer; without any the object is let go."""
        self.takers += takers
        if self.takers <= 0 and not self.lasting:
            self.held = _NOTHING

    def give_back(self, claimed: Any) -> None:
        """A consumer was not called after all, and will claim again."""
        self.takers += 1
        if type(claimed) is not Input:
            self.hold(claimed)


#: What a step reads: each version with the parameter that takes it, an empty text for one that is
#: not passed.
Read: TypeAlias = "Sequence[tuple[str, Version]]"


class Versions:
    """The versions that stand in a run, and how many of its steps will yet take each value.

    ``standing`` has them by asset; ``takers`` names an asset once for every step that takes it.
    """

    def __init__(self, standing: dict[str, Version], takers: Iterable[str]) -> None:
        #: Of assets without a standing version; else it is the version that counts.
        self._takers = Counter(takers)
        self.standing = standing
        self._recorded = False

    def stands(self, asset: AnyAsset, made: Materialization) -> None:
        """A recorded materialization is what those who take the asset get."""
        self.standing[asset.name] = Version.of(asset, made, self.takers(asset.name))
        self._recorded = True

    def made(self, asset: AnyAsset, draft: Draft) -> Version:
        """What was just made is what those who take the asset get."""
        name = asset.name
        takers = self.takers(name)
        version = Version(asset, draft.id, draft.data_version or "", draft.value, takers=takers)
        self.standing[name] = version
        return version

    def takers(self, name: str) -> int:
        """How many will yet take the asset."""
        standing = self.standing.get(name)
        return self._takers[name] if standing is None else standing.takers

    def must_be_read(self, asset: AnyAsset) -> bool:
        """Whether bytes of recorded values have to be read before the asset can take them."""
        return self._recorded and any(
            self.standing[source].must_be_read for parameter, source in asset.edges if parameter
        )

    def read_by(self, asset: AnyAsset) -> Read:
        """What stands of all that the asset needs."""
        standing = self.standing
        return [(parameter, standing[source]) for parameter, source in asset.edges]

    def stand(self, read: Read) -> bool:
        """Whether what was read still stands: nothing of it was made again meanwhile."""
        return all(self.standing[version.asset.name] is version for _, version in read)

    def give_back(self, asset: AnyAsset, claimed: Mapping[str, Any]) -> None:
        """The asset's function was not called after all, and will claim its inputs again."""
        for parameter, source in asset.edges:
            if parameter:
                self.standing[source].give_back(claimed[parameter])

    def expect(self, asset: AnyAsset, takers: int) -> None:
        """The asset is made after all (1) and takes its inputs, or ends without (-1)."""
        for parameter, source in asset.edges:
            if parameter:
                standing = self.standing.get(source)
                if standing is None:
                    self._takers[source] += takers
                else:
                    standing.expect(takers)


async def read_inline(
    versions: Iterable[Version],
    ask: Callable[[Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, bytes]]],
) -> None:
    """Read the inline values of reused versions, which plans do without; ``ask`` gives their bytes.

    Raises:
        StoreError: if the store fails.
    """
    unread = {v.id: v for v in versions if v.pointer and v.pointer.unread}
    if unread:
        found = await ask(list(unread))
        for key, version in unread.items():
            if key in found:
                version.read(found[key])
