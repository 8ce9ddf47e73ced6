"""Objects over a socket between two of our processes: pickles, with large buffers beside them."""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import struct
import threading
from collections import ChainMap
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core.asset import Asset
from flowstone.runner.executors.naming import crossing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, MutableMapping, Sequence

_HEAD = struct.Struct("<QI")
_SIZE = struct.Struct("<Q")
#: Pickles up to this size go in one piece with their head.
_SMALL = 65_536

_OURS: MutableMapping[type, Callable[[Any], Any]] = {Asset: crossing}


class Packed(NamedTuple):
    """A pickle, and the buffers it leaves out: the memory of arrays, which is not copied."""

    data: bytes
    buffers: Sequence[bytearray | pickle.PickleBuffer]

    def unpack(self) -> Any:
        """The object again; raises whatever its classes raise."""
        return pickle.loads(self.data, buffers=self.buffers)  # noqa: S301 - from our own process


def _taught(pickler: Any, table: MutableMapping[type, Any]) -> type[pickle.Pickler]:
    """The pickler, which now knows how assets cross."""
    return type("_Pickler", (pickler,), {"dispatch_table": ChainMap(_OURS, table)})


_Plain = _taught(pickle.Pickler, copyreg.dispatch_table)


def pack(thing: object) -> Packed:
    """Pickle an object; what only this process knows goes by value.

    Functions and classes of importable modules go by their names. Those of ``__main__`` (a script,
    a notebook) and of function bodies go whole, along with the globals that they use.

    Raises:
        Exception: of any kind, if something in it can't be pickled.
    """
    try:
        packed = _pickled(_Plain, thing)
    except Exception:  # noqa: BLE001 - the other pickler knows more, and says what is wrong
        return _pickled(_by_value(), thing)
    # A false alarm does no harm.
    return _pickled(_by_value(), thing) if b"__main__" in packed.data else packed


def _pickled(kind: type[pickle.Pickler], thing: object) -> Packed:
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    kind(file, protocol=5, buffer_callback=buffers.append).dump(thing)
    return Packed(file.getvalue(), buffers)


@functools.cache
def _by_value() -> type[pickle.Pickler]:
    """Cloudpickle's pickler, which also takes functions and classes by value."""
    pickler: Any = import_module("cloudpickle").Pickler
    return _taught(pickler, pickler.dispatch_table)


class Wire:
    """One end of a socket over which objects go in both directions.

    Any thread may send; one receives.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()

    def send(self, thing: object) -> None:
        """Send an object; raises OSError if nobody is at the other end."""
        self.send_packed(pack(thing))

    def send_packed(self, packed: Packed) -> None:
        """Send what was packed before; raises OSError if nobody is at the other end."""
        views = [memoryview(buffer).cast("B") for buffer in map(_raw, packed.buffers)]
        head = _HEAD.pack(len(packed.data), len(views))
        head += b"".join(_SIZE.pack(view.nbytes) for view in views)
        with self._sending:
            if len(packed.data) <= _SMALL:
                self._socket.sendall(head + packed.data)
            else:
                self._socket.sendall(head)
                self._socket.sendall(packed.data)
            for view in views:
                self._socket.sendall(view)

    def receive(self) -> Packed:
        """The next object; raises EOFError or OSError if there is nobody to send one."""
        size, count = _HEAD.unpack(self._read(_HEAD.size))
        sizes = [_SIZE.unpack(self._read(_SIZE.size))[0] for _ in range(count)]
        data = self._read(size)
        return Packed(bytes(data), [self._read(each) for each in sizes])

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        left = memoryview(data)
        while left:
            count = self._socket.recv_into(left)
            if not count:
                raise EOFError
            left = left[count:]
        return data


def _raw(buffer: bytearray | pickle.PickleBuffer) -> bytearray | memoryview:
    return buffer.raw() if isinstance(buffer, pickle.PickleBuffer) else buffer
