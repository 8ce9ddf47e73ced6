"""Pairs of annotations, and whether a value of the first may be passed where the second stands.

``WORLD`` holds the names they use. ``mypy --strict`` says the same of every pair, except of those
whose ``differs`` gives the reason why we say otherwise.
"""

from __future__ import annotations

import sys
from typing import NamedTuple


class Pair(NamedTuple):
    """``fits`` is our verdict; ``differs`` is empty where mypy's is the same."""

    source: str
    target: str
    fits: bool
    differs: str = ""


WORLD = """
import abc
import asyncio
import collections
import datetime as dt
import decimal
import enum
import io
import numbers
import os
import pathlib
import re
import typing
from collections.abc import (
    Awaitable, Callable, Collection, Container, Coroutine, Generator, Hashable, Iterable, Iterator,
    KeysView, ItemsView, ValuesView, Mapping, MutableMapping, MutableSequence, MutableSet,
    Reversible, Sequence, Sized, Set as AbstractSet,
)
from dataclasses import dataclass
from typing import (
    IO, Annotated, Any, BinaryIO, ClassVar, Dict, Final, Generic, List, Literal,
    LiteralString, NamedTuple, Never, NewType, NoReturn, NotRequired, Optional, ParamSpec, Protocol,
    Required, Self, Concatenate, SupportsFloat, SupportsIndex, SupportsInt, TextIO, Tuple, Type,
    TypeAlias, TypedDict, TypeVar, Union, Unpack,
)
from typing_extensions import ReadOnly

class Animal:
    name: str = ""

class Dog(Animal):
    def bark(self) -> str:
        return ""

class Puppy(Dog):
    pass

class Unknown(Any):  # type: ignore[misc]
    pass

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
Pet = TypeVar("Pet", bound=Animal)
Number = TypeVar("Number", int, str)
P = ParamSpec("P")

class Box(Generic[T]):
    content: T

class Source(Generic[T_co]):
    def get(self) -> T_co:
        raise NotImplementedError

class Sink(Generic[T_contra]):
    def put(self, item: T_contra) -> None:
        pass

class DogSource(Source[Dog]):
    pass

class Rows(Sequence[int]):
    def __len__(self) -> int:
        return 0
    @typing.overload
    def __getitem__(self, index: int) -> int: ...
    @typing.overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return 0

class Stream:
    def __iter__(self) -> Iterator[int]:
        return iter(())

class Tables(Dict[str, Box[int]]):
    pass

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Size(enum.IntEnum):
    S = 1
    M = 2

class Word(str, enum.Enum):
    A = "a"

class Point(NamedTuple):
    x: int
    y: float

class Pair(Tuple[int, str]):
    pass

@dataclass
class Order:
    id: int
    note: "str | None" = None

@dataclass(frozen=True)
class Frozen:
    id: int

@dataclass
class BigOrder(Order):
    lines: int = 0

UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)

class Row(TypedDict):
    day: str
    eur: int

class RowMore(TypedDict):
    day: str
    eur: int
    note: str

class RowLoose(TypedDict, total=False):
    day: str
    eur: int

class RowMixed(TypedDict):
    day: str
    eur: NotRequired[int]

class RowChild(Row):
    kind: str

class RowBool(TypedDict):
    day: str
    eur: bool

class RowRead(TypedDict):
    day: ReadOnly[str]
    eur: ReadOnly[int]

class Nested(TypedDict):
    row: Row
    rows: "list[Row]"

class Generic1(TypedDict, Generic[T]):
    value: T

class HasName(Protocol):
    name: str

class HasBark(Protocol):
    def bark(self) -> str: ...

class BarksLoud(Protocol):
    def bark(self, volume: int) -> str: ...

class BarksInt(Protocol):
    def bark(self) -> int: ...

class HasId(Protocol):
    @property
    def id(self) -> int: ...

class SetsId(Protocol):
    id: int

class HasObjectId(Protocol):
    @property
    def id(self) -> object: ...

class Gets(Protocol[T_co]):
    def get(self) -> T_co: ...

class Puts(Protocol[T_contra]):
    def put(self, item: T_contra) -> None: ...

class HasKeys(Protocol):
    def keys(self) -> Any: ...

class Closes(Protocol):
    def close(self) -> None: ...

class Both(HasBark, HasName, Protocol):
    pass

class Calls(Protocol):
    def __call__(self, a: int, b: str = "") -> str: ...

class CallsKw(Protocol):
    def __call__(self, *, a: int) -> str: ...

class CallsPos(Protocol):
    def __call__(self, a: int, /) -> str: ...

class Adder:
    def __call__(self, a: int, b: str = "") -> str:
        return ""

class AdderNamed:
    def __call__(self, c: int, d: str = "") -> str:
        return ""

class Clones(Protocol):
    def clone(self) -> Self: ...

class Cloner:
    def clone(self) -> "Cloner":
        return self

class Setter:
    def __init__(self) -> None:
        self.name: str = ""

class Linked(Protocol):
    def following(self) -> "Linked": ...

class Node:
    def following(self) -> "Node":
        return self

class BadNode:
    def following(self) -> int:
        return 0

class Unhashable:
    __hash__ = None  # type: ignore[assignment]

class Meta(type):
    pass

class Made(metaclass=Meta):
    pass

class Bag(abc.ABC):
    pass

@Bag.register
class Registered:
    pass

Json: TypeAlias = "Union[None, bool, int, float, str, list[Json], dict[str, Json]]"
Tree: TypeAlias = "Union[int, list[Tree]]"
Trees: TypeAlias = "Union[int, str, list[Trees]]"
Ints: TypeAlias = "list[int]"
Mapped = dict[str, T]
"""

WORLD_312 = """
type Alias = list[int]
type Maybe[X] = X | None
type Deep = int | list[Deep]
type Deeper = int | str | list[Deeper]
type Rec[X] = list[X | Rec[X]]

class Reader[X]:
    def read(self) -> X:
        raise NotImplementedError

class Writer[X]:
    def write(self, item: X) -> None:
        pass

class Cell[X]:
    def read(self) -> X:
        raise NotImplementedError
    def write(self, item: X) -> None:
        pass

class Held[X]:
    item: X

@dataclass(frozen=True)
class Kept[X]:
    item: X

class Wraps[X]:
    def all(self) -> list[X]:
        return []

class Reads[X](Protocol):
    def read(self) -> X: ...
"""

PAIRS = [
    # anything
    Pair("Any", "int", True),
    Pair("int", "Any", True),
    Pair("int", "object", True),
    Pair("object", "int", False),
    Pair("object", "object", True),
    Pair("Never", "int", True),
    Pair("NoReturn", "list[int]", True),
    Pair("int", "Never", False),
    Pair("list[Any]", "list[int]", True),
    Pair("list[int]", "list[Any]", True),
    Pair("dict[str, Any]", "dict[str, list[int]]", True),
    # classes
    Pair("int", "int", True),
    Pair("int", "str", False),
    Pair("Dog", "Animal", True),
    Pair("Animal", "Dog", False),
    Pair("Puppy", "Animal", True),
    Pair("bool", "int", True),
    Pair("int", "bool", False),
    Pair("BigOrder", "Order", True),
    Pair("Order", "BigOrder", False),
    Pair("Unknown", "Dog", True),
    Pair("Dog", "Unknown", False),
    Pair("dt.datetime", "dt.date", True),
    Pair("dt.date", "dt.datetime", False),
    Pair("decimal.Decimal", "float", False),
    Pair("'Dog'", "'Animal'", True),
    Pair("'Animal'", "Dog", False),
    # None and unions
    Pair("None", "None", True),
    Pair("None", "int", False),
    Pair("None", "object", True),
    Pair("None", "Optional[int]", True),
    Pair("int", "Optional[int]", True),
    Pair("Optional[int]", "int", False),
    Pair("int | None", "Optional[int]", True),
    Pair("Union[int, str]", "str | int", True),
    Pair("int | str", "int", False),
    Pair("int", "int | str", True),
    Pair("int | str", "int | str | bytes", True),
    Pair("int | str | bytes", "int | str", False),
    Pair("bool | Dog", "int | Animal", True),
    Pair("list[int] | list[str]", "list[int | str]", False),
    Pair("list[int] | list[str]", "Sequence[int | str]", True),
    Pair("list[int | str]", "list[int] | list[str]", False),
    Pair("bytes", "int | str | None", False),
    Pair("int | Any", "int | str", True),
    Pair("str | None", "object", True),
    # numbers
    Pair("int", "float", True),
    Pair("float", "int", False),
    Pair("int", "complex", True),
    Pair("float", "complex", True),
    Pair("complex", "float", False),
    Pair("bool", "float", True),
    Pair("list[int]", "list[float]", False),
    Pair("Sequence[int]", "Sequence[float]", True),
    Pair("dict[str, int]", "Mapping[str, float]", True),
    Pair("Size", "int", True),
    Pair("Size", "float", True),
    Pair("int", "numbers.Number", True, "an int is a Number when the program runs"),
    Pair("str", "numbers.Number", False),
    Pair("bytearray", "bytes", False),
    Pair("memoryview", "bytes", False),
    # containers
    Pair("list[int]", "list[int]", True),
    Pair("list[bool]", "list[int]", False),
    Pair("list[Dog]", "list[Animal]", False),
    Pair("list[Animal]", "list[Dog]", False),
    Pair("list", "list[int]", True),
    Pair("list[int]", "list", True),
    Pair("List[int]", "list[int]", True),
    Pair("list[int]", "List[str]", False),
    Pair("list[int]", "dict[str, int]", False),
    Pair("list[dict[str, int]]", "dict[str, int]", False),
    Pair("list[Dog]", "Sequence[Animal]", True),
    Pair("Sequence[Dog]", "list[Dog]", False),
    Pair("list[Dog]", "Iterable[Animal]", True),
    Pair("list[Animal]", "Iterable[Dog]", False),
    Pair("list[Dog]", "MutableSequence[Animal]", False),
    Pair("list[int]", "Collection[int]", True),
    Pair("list[int]", "Reversible[int]", True),
    Pair("list[int]", "Container[int]", True),
    Pair("list[int]", "Sized", True),
    Pair("list[int]", "Hashable", False),
    Pair("int", "Sized", False),
    Pair("int", "Hashable", True),
    Pair("None", "Hashable", True),
    Pair("Unhashable", "Hashable", False),
    Pair("dict[str, Dog]", "Mapping[str, Animal]", True),
    Pair("dict[bool, str]", "Mapping[int, str]", False),
    Pair("dict[str, Dog]", "dict[str, Animal]", False),
    Pair("dict[str, int]", "MutableMapping[str, int]", True),
    Pair("dict[str, int]", "Iterable[str]", True),
    Pair("dict[str, int]", "Iterable[int]", False),
    Pair("dict[str, int]", "Collection[str]", True),
    Pair("Mapping[str, int]", "dict[str, int]", False),
    Pair("set[Dog]", "AbstractSet[Animal]", True),
    Pair("set[Dog]", "set[Animal]", False),
    Pair("set[int]", "MutableSet[int]", True),
    Pair("frozenset[Dog]", "frozenset[Animal]", True),
    Pair("set[int]", "frozenset[int]", False),
    Pair("set[int]", "Sequence[int]", False),
    Pair("str", "Sequence[str]", True),
    Pair("str", "Iterable[str]", True),
    Pair("str", "list[str]", False),
    Pair("bytes", "Sequence[int]", True),
    Pair("range", "Sequence[int]", True),
    Pair("range", "list[int]", False),
    Pair("collections.Counter[str]", "dict[str, int]", True),
    Pair("collections.defaultdict[str, list[int]]", "Mapping[str, Sequence[int]]", True),
    Pair("collections.OrderedDict[str, int]", "dict[str, int]", True),
    Pair("dict[str, int]", "collections.OrderedDict[str, int]", False),
    Pair("collections.deque[int]", "Sequence[int]", True),
    Pair("collections.deque[int]", "list[int]", False),
    Pair("Iterator[Dog]", "Iterable[Animal]", True),
    Pair("Generator[int, None, None]", "Iterator[int]", True),
    Pair("Generator[int, str, None]", "Generator[int, object, None]", False),
    Pair("Generator[int, object, None]", "Generator[float, str, None]", True),
    Pair("Iterable[int]", "Iterator[int]", False),
    Pair("KeysView[str]", "AbstractSet[str]", True),
    Pair("ItemsView[str, int]", "Iterable[tuple[str, int]]", True),
    Pair("ValuesView[Dog]", "Collection[Animal]", True),
    Pair("Rows", "Sequence[int]", True),
    Pair("Rows", "Sequence[str]", False),
    Pair("Rows", "Iterable[float]", True),
    Pair("Stream", "Iterable[int]", True),
    Pair("Stream", "Iterable[str]", False),
    Pair("Stream", "Iterator[int]", False),
    Pair("Tables", "dict[str, Box[int]]", True),
    Pair("Tables", "dict[str, Box[str]]", False),
    Pair("pathlib.Path", "os.PathLike[str]", True),
    Pair("pathlib.Path", "os.PathLike[bytes]", False),
    Pair("io.StringIO", "IO[str]", True),
    Pair("io.StringIO", "TextIO", True),
    Pair("io.BytesIO", "TextIO", False),
    Pair("BinaryIO", "IO[bytes]", True),
    Pair("pathlib.Path", "str", False),
    Pair("pathlib.Path", "str | os.PathLike[str]", True),
    Pair("re.Pattern[str]", "re.Pattern[bytes]", False),
    Pair("list[list[int]]", "Sequence[Sequence[float]]", True),
    Pair("list[list[int]]", "Sequence[list[float]]", False),
    Pair("Registered", "Bag", True, "it is an instance when the program runs"),
    # generics of users
    Pair("Box[int]", "Box[int]", True),
    Pair("Box[bool]", "Box[int]", False),
    Pair("Box[int]", "Box[Any]", True),
    Pair("Box[Any]", "Box[int]", True),
    Pair("Source[Dog]", "Source[Animal]", True),
    Pair("Source[Animal]", "Source[Dog]", False),
    Pair("Sink[Animal]", "Sink[Dog]", True),
    Pair("Sink[Dog]", "Sink[Animal]", False),
    Pair("DogSource", "Source[Animal]", True),
    Pair("DogSource", "Source[int]", False),
    Pair("Source[Source[Dog]]", "Source[Source[Animal]]", True),
    Pair("Sink[Sink[Dog]]", "Sink[Sink[Animal]]", True),
    Pair("Mapped[int]", "Mapping[str, int]", True),
    Pair("Mapped[int]", "Mapping[str, str]", False),
    # literals and enums
    Pair("Literal['a']", "str", True),
    Pair("str", "Literal['a']", False),
    Pair("Literal['a']", "Literal['a', 'b']", True),
    Pair("Literal['a', 'b']", "Literal['a']", False),
    Pair("Literal[1]", "int", True),
    Pair("Literal[1]", "float", True),
    Pair("Literal[1]", "Literal[True]", False),
    Pair("Literal[True]", "bool", True),
    Pair("bool", "Literal[True, False]", True),
    Pair("bool", "Literal[True]", False),
    Pair("Literal[None]", "None", True),
    Pair("Literal['a']", "LiteralString", True),
    Pair("str", "LiteralString", True),
    Pair("LiteralString", "str", True),
    Pair("Literal[Color.RED]", "Color", True),
    Pair("Color", "Literal[Color.RED]", False),
    Pair("Color", "Literal[Color.RED, Color.BLUE]", True),
    Pair("Literal[Color.RED]", "Literal[Color.BLUE]", False),
    Pair("Color", "str", False),
    Pair("Word", "str", True),
    Pair("list[Literal['a']]", "list[str]", False),
    Pair("Sequence[Literal['a', 'b']]", "Sequence[str]", True),
    Pair("Literal['ab']", "Sequence[str]", True),
    # tuples
    Pair("tuple[int, str]", "tuple[int, str]", True),
    Pair("tuple[bool, str]", "tuple[int, object]", True),
    Pair("tuple[int, str]", "tuple[int]", False),
    Pair("tuple[int]", "tuple[int, str]", False),
    Pair("tuple[int, str]", "tuple[str, int]", False),
    Pair("tuple[int, int]", "tuple[int, ...]", True),
    Pair("tuple[int, str]", "tuple[int, ...]", False),
    Pair("tuple[int, ...]", "tuple[int, int]", False),
    Pair("tuple[int, ...]", "tuple[float, ...]", True),
    Pair("tuple[()]", "tuple[int, ...]", True),
    Pair("tuple[int]", "tuple[()]", False),
    Pair("tuple[()]", "tuple[()]", True),
    Pair("tuple[int, str]", "tuple", True),
    Pair("tuple", "tuple[int, str]", True),
    Pair("Tuple[int, str]", "tuple[int, str]", True),
    Pair("tuple[int, str]", "Sequence[int | str]", True),
    Pair("tuple[int, str]", "Sequence[int]", False),
    Pair("tuple[int, str]", "list[int | str]", False),
    Pair("tuple[int, int]", "Iterable[float]", True),
    Pair("tuple[int, *tuple[str, ...]]", "tuple[int | str, ...]", True),
    Pair("tuple[int, *tuple[str, ...]]", "tuple[int, ...]", False),
    Pair("tuple[int, str, str]", "tuple[int, *tuple[str, ...]]", True),
    Pair("tuple[int, str, int]", "tuple[int, *tuple[str, ...]]", False),
    Pair("tuple[int, str, float]", "tuple[int, Unpack[tuple[str, ...]], float]", True),
    Pair("tuple[int, float]", "tuple[int, *tuple[str, ...], float]", True),
    Pair("tuple[int]", "tuple[int, *tuple[str, ...], float]", False),
    Pair("Point", "tuple[int, float]", True),
    Pair("Point", "tuple[int, int]", False),
    Pair("Point", "tuple[float, ...]", True),
    Pair("tuple[int, float]", "Point", False),
    Pair("Point", "Sequence[float]", True),
    Pair("Pair", "tuple[int, str]", True),
    Pair("Pair", "tuple[str, str]", False),
    Pair("tuple[int, str] | None", "tuple[int, str]", False),
    # NewType, Annotated, aliases
    Pair("UserId", "int", True),
    Pair("int", "UserId", False),
    Pair("UserId", "float", True),
    Pair("AdminId", "UserId", True),
    Pair("UserId", "AdminId", False),
    Pair("AdminId", "int", True),
    Pair("list[UserId]", "list[int]", False),
    Pair("list[UserId]", "Sequence[int]", True),
    Pair("UserId | None", "int | None", True),
    Pair("Annotated[int, 'eur']", "int", True),
    Pair("int", "Annotated[int, 'eur']", True),
    Pair("Annotated[int, 'a']", "Annotated[str, 'a']", False),
    Pair("list[Annotated[int, 'a']]", "list[int]", True),
    Pair("Ints", "list[int]", True),
    Pair("Ints", "list[str]", False),
    Pair("Json", "Json", True),
    Pair("int", "Json", True),
    Pair("bytes", "Json", False),
    Pair("dict[str, Json]", "Json", True),
    Pair("list[list[bytes]]", "Json", False),
    Pair("Tree", "Trees", False),
    Pair("Tree", "Tree", True),
    # typed dicts
    Pair("Row", "Row", True),
    Pair("RowMore", "Row", True),
    Pair("Row", "RowMore", False),
    Pair("RowChild", "Row", True),
    Pair("Row", "RowLoose", False),
    Pair("RowLoose", "Row", False),
    Pair("RowMixed", "Row", False),
    Pair("Row", "RowMixed", False),
    Pair("RowBool", "Row", False),
    Pair("RowBool", "RowRead", True),
    Pair("Row", "RowRead", True),
    Pair("RowRead", "Row", False),
    Pair("Row", "Mapping[str, object]", True),
    Pair("Row", "Mapping[str, int]", False),
    Pair("Row", "dict[str, object]", False),
    Pair("dict[str, Any]", "Row", False),
    Pair("Row", "MutableMapping[str, object]", False),
    Pair("Setter", "Closes", False),
    Pair("AbstractSet[int]", "Hashable", True),
    Pair("Row", "Iterable[str]", True),
    Pair("list[Row]", "list[Row]", True),
    Pair("list[RowMore]", "list[Row]", False),
    Pair("list[RowMore]", "Sequence[Row]", True),
    Pair("Generic1[int]", "Generic1[int]", True),
    Pair("Generic1[int]", "Generic1[str]", False),
    # protocols
    Pair("Dog", "HasBark", True),
    Pair("Animal", "HasBark", False),
    Pair("Dog", "HasName", True),
    Pair("Dog", "Both", True),
    Pair("Animal", "Both", False),
    Pair("Setter", "HasName", True),
    Pair("int", "HasName", False),
    Pair("None", "HasBark", False),
    Pair("Dog", "BarksLoud", False),
    Pair("Dog", "BarksInt", False),
    Pair("Dog | Puppy", "HasBark", True),
    Pair("Dog | None", "HasBark", False),
    Pair("list[Dog]", "Sequence[HasBark]", True),
    Pair("list[Dog]", "list[HasBark]", False),
    Pair("Order", "HasId", True),
    Pair("Frozen", "HasId", True),
    Pair("Order", "SetsId", True),
    Pair("Frozen", "SetsId", False),
    Pair("Order", "HasObjectId", True),
    Pair("Source[Dog]", "Gets[Animal]", True),
    Pair("Source[Animal]", "Gets[Dog]", False),
    Pair("DogSource", "Gets[Dog]", True),
    Pair("DogSource", "Gets[int]", False),
    Pair("Sink[Animal]", "Puts[Dog]", True),
    Pair("Sink[Dog]", "Puts[Animal]", False),
    Pair("Gets[Dog]", "Gets[Animal]", True),
    Pair("dict[str, int]", "HasKeys", True),
    Pair("list[int]", "HasKeys", False),
    Pair("Dog", "Closes", False),
    Pair("Cloner", "Clones", True),
    Pair("Node", "Linked", True),
    Pair("BadNode", "Linked", False),
    Pair("Both", "HasBark", True),
    Pair("HasBark", "Both", False),
    Pair("int", "SupportsIndex", True),
    Pair("str", "SupportsInt", False),
    Pair("float", "SupportsFloat", True),
    # callables
    Pair("Callable[[int], str]", "Callable[[int], str]", True),
    Pair("Callable[[Animal], Dog]", "Callable[[Dog], Animal]", True),
    Pair("Callable[[Dog], Dog]", "Callable[[Animal], Dog]", False),
    Pair("Callable[[int], object]", "Callable[[int], str]", False),
    Pair("Callable[[int], str]", "Callable[[int, int], str]", False),
    Pair("Callable[[int, int], str]", "Callable[[int], str]", False),
    Pair("Callable[..., str]", "Callable[[int], str]", True),
    Pair("Callable[[int], str]", "Callable[..., str]", True),
    Pair("Callable[[int], str]", "Callable[..., int]", False),
    Pair("Callable[[], None]", "Callable[[], None]", True),
    Pair("Callable[[], int]", "Callable[[], None]", False),
    Pair("Callable[[int], str]", "object", True),
    Pair("Callable[[int], str]", "Hashable", True),
    Pair("int", "Callable[[int], str]", False),
    Pair("Callable[[int], str]", "int", False),
    Pair("Adder", "Callable[[int], str]", True),
    Pair("Adder", "Callable[[int, str], str]", True),
    Pair("Adder", "Callable[[str], str]", False),
    Pair("Adder", "Calls", True),
    Pair("AdderNamed", "Calls", False),
    Pair("AdderNamed", "CallsPos", True),
    Pair("Adder", "CallsKw", True),
    Pair("AdderNamed", "CallsKw", False),
    Pair("Callable[[int], str]", "CallsPos", True),
    Pair("Callable[[int], str]", "CallsKw", False),
    Pair("Callable[[str], str]", "CallsPos", False),
    Pair("Callable[[int], int]", "CallsPos", False),
    Pair("Calls", "Callable[[int], str]", True),
    Pair("Callable[Concatenate[int, ...], str]", "Callable[[int, str], str]", True),
    # classes as values
    Pair("type[Dog]", "type[Animal]", True),
    Pair("type[Animal]", "type[Dog]", False),
    Pair("type[Dog]", "type", True),
    Pair("type", "type[Dog]", True),
    Pair("Type[Dog]", "type[Dog]", True),
    Pair("type[Dog]", "object", True),
    Pair("type[Dog]", "Dog", False),
    Pair("Dog", "type[Dog]", False),
    Pair("type[Dog | Puppy]", "type[Dog]", True),
    Pair("type[Made]", "Meta", True),
    Pair("type[Dog]", "Meta", False),
    Pair("type[Dog]", "Hashable", True, "a class has a hash, as every value of type has"),
    # type variables of the consumer
    Pair("int", "T", True),
    Pair("Dog", "Pet", True),
    Pair("int", "Pet", False),
    Pair("int", "Number", True),
    Pair("list[int]", "list[T]", True),
    Pair("list[Dog]", "Sequence[Pet]", True),
    Pair("list[int]", "Sequence[Pet]", False),
    Pair("set[int]", "list[T]", False),
]

PAIRS_312 = [
    Pair("Alias", "list[int]", True),
    Pair("Alias", "list[str]", False),
    Pair("int", "Maybe[int]", True),
    Pair("Maybe[int]", "int", False),
    Pair("Maybe[int]", "int | None", True),
    Pair("Maybe[Dog]", "Maybe[Animal]", True),
    Pair("Deep", "Deep", True),
    Pair("list[list[int]]", "Deep", False),
    Pair("list[Deep]", "Deep", True),
    Pair("bytes", "Deep", False),
    Pair("Deep", "Deeper", False),
    Pair("Rec[int]", "Sequence[object]", True),
    Pair("Rec[int]", "Rec[int]", True),
    Pair("Rec[int]", "Rec[str]", False),
    Pair("Reader[Dog]", "Reader[Animal]", True),
    Pair("Reader[Animal]", "Reader[Dog]", False),
    Pair("Writer[Animal]", "Writer[Dog]", True),
    Pair("Writer[Dog]", "Writer[Animal]", False),
    Pair("Cell[Dog]", "Cell[Animal]", False),
    Pair("Cell[Dog]", "Cell[Dog]", True),
    Pair("Held[Dog]", "Held[Animal]", False),
    Pair("Kept[Dog]", "Kept[Animal]", True),
    Pair("Wraps[Dog]", "Wraps[Animal]", False),
    Pair("Reader[Dog]", "Reads[Animal]", True),
    Pair("Reader[Dog]", "Reads[int]", False),
    Pair("Cell[Dog]", "Reads[Animal]", True),
    Pair("Reads[Dog]", "Reads[Animal]", True),
]

if sys.version_info >= (3, 12):
    WORLD += WORLD_312
    PAIRS += PAIRS_312
