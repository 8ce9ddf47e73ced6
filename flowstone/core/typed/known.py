"""What the standard library's classes derive from, with type arguments.

It stands in no annotation that could be read when the program runs; this is typeshed's word.
"""

from __future__ import annotations

import collections
import io
import os
import pathlib
import types
from collections import abc
from typing import Any, BinaryIO, TextIO, TypeVar

from flowstone.core.typed.forms import ANY, Class, Tuple, Type, Variable

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
Out_co = TypeVar("Out_co", covariant=True)
Out2_co = TypeVar("Out2_co", covariant=True)
In_contra = TypeVar("In_contra", contravariant=True)


def _of(cls: type, *args: Type | type | TypeVar) -> Class:
    return Class(cls, tuple(map(_argument, args)))


def _argument(given: Any) -> Type:
    if isinstance(given, TypeVar):
        return Variable(given, ANY)
    return Class(given) if isinstance(given, type) else given


def _pair(*args: type | TypeVar) -> Tuple:
    return Tuple(tuple(map(_argument, args)))


#: Type parameters, which have a variance, and bases.
KNOWN: dict[Any, tuple[tuple[TypeVar, ...], tuple[Class, ...]]] = {
    abc.Iterable: ((Out_co,), ()),
    abc.Container: ((Out_co,), ()),
    abc.AsyncIterable: ((Out_co,), ()),
    abc.Awaitable: ((Out_co,), ()),
    abc.Iterator: ((Out_co,), (_of(abc.Iterable, Out_co),)),
    abc.Reversible: ((Out_co,), (_of(abc.Iterable, Out_co),)),
    abc.Collection: (
        (Out_co,),
        (_of(abc.Iterable, Out_co), _of(abc.Container, Out_co), _of(abc.Sized)),
    ),
    abc.Generator: ((Out_co, In_contra, Out2_co), (_of(abc.Iterator, Out_co),)),
    abc.AsyncIterator: ((Out_co,), (_of(abc.AsyncIterable, Out_co),)),
    abc.AsyncGenerator: ((Out_co, In_contra), (_of(abc.AsyncIterator, Out_co),)),
    abc.Coroutine: ((Out_co, In_contra, Out2_co), (_of(abc.Awaitable, Out2_co),)),
    abc.Sequence: ((Out_co,), (_of(abc.Reversible, Out_co), _of(abc.Collection, Out_co))),
    abc.MutableSequence: ((T,), (_of(abc.Sequence, T),)),
    abc.Set: ((Out_co,), (_of(abc.Collection, Out_co),)),
    abc.MutableSet: ((T,), (_of(abc.Set, T),)),
    abc.Mapping: ((K, Out_co), (_of(abc.Collection, K),)),
    abc.MutableMapping: ((K, V), (_of(abc.Mapping, K, V),)),
    abc.KeysView: ((Out_co,), (_of(abc.MappingView), _of(abc.Set, Out_co))),
    abc.ItemsView: (
        (Out_co, Out2_co),
        (_of(abc.MappingView), _of(abc.Set, _pair(Out_co, Out2_co))),
    ),
    abc.ValuesView: ((Out_co,), (_of(abc.MappingView), _of(abc.Collection, Out_co))),
    list: ((T,), (_of(abc.MutableSequence, T),)),
    tuple: ((Out_co,), (_of(abc.Sequence, Out_co),)),
    dict: ((K, V), (_of(abc.MutableMapping, K, V), _of(abc.Reversible, K))),
    set: ((T,), (_of(abc.MutableSet, T),)),
    frozenset: ((Out_co,), (_of(abc.Set, Out_co),)),
    enumerate: ((T,), (_of(abc.Iterator, _pair(int, T)),)),
    zip: ((Out_co,), (_of(abc.Iterator, Out_co),)),
    map: ((Out_co,), (_of(abc.Iterator, Out_co),)),
    filter: ((T,), (_of(abc.Iterator, T),)),
    reversed: ((T,), (_of(abc.Iterator, T),)),
    str: ((), (_of(abc.Sequence, str),)),
    bytes: ((), (_of(abc.Sequence, int),)),
    bytearray: ((), (_of(abc.MutableSequence, int),)),
    memoryview: ((), (_of(abc.Sequence, int),)),
    range: ((), (_of(abc.Sequence, int),)),
    types.MappingProxyType: ((K, Out_co), (_of(abc.Mapping, K, Out_co),)),
    collections.deque: ((T,), (_of(abc.MutableSequence, T),)),
    collections.defaultdict: ((K, V), (_of(dict, K, V),)),
    collections.OrderedDict: ((K, V), (_of(dict, K, V),)),
    collections.Counter: ((T,), (_of(dict, T, int),)),
    collections.ChainMap: ((K, V), (_of(abc.MutableMapping, K, V),)),
    io.StringIO: ((), (_of(io.TextIOBase), _of(TextIO))),
    io.TextIOWrapper: ((), (_of(io.TextIOBase), _of(TextIO))),
    io.BytesIO: ((), (_of(io.BufferedIOBase), _of(BinaryIO))),
    io.BufferedReader: ((), (_of(io.BufferedIOBase), _of(BinaryIO))),
    io.BufferedWriter: ((), (_of(io.BufferedIOBase), _of(BinaryIO))),
    io.FileIO: ((), (_of(io.RawIOBase), _of(BinaryIO))),
    os.PathLike: ((Out_co,), ()),
    pathlib.PurePath: ((), (_of(os.PathLike, str),)),
}
