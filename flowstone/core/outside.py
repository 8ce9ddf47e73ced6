"""What lies outside of the graph and decides with it: input paths, observed state, stated versions.

Only the words for it. Nothing here looks at the world.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class InputMark:
    """Marks an annotation whose paths count by what they hold."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "INPUT"


INPUT = InputMark()

InputPath: TypeAlias = Annotated[Path, INPUT]
"""Annotates a config parameter that names a file or folder made elsewhere.

``def orders(source: InputPath = Path("data/orders.csv")) -> ...``: what counts for freshness is
the content, not the path. A folder counts by the relative paths and contents of the files in it,
at any depth; a missing path counts as absent. ``InputPath | None``, and lists, tuples and dict
values of these, work too. The function gets a ``pathlib.Path``.
"""

_WORD = re.compile(r"\bInputPath\b")
_UNIONS = (Union, types.UnionType)
_SEQUENCES = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)


#: How the data versions begin that functions state; no value's own does.
STATED = "stated-"


@dataclass(frozen=True, slots=True)
class DataVersion:
    """What an asset returns whose product lives elsewhere, such as a table or an object.

    ``DataVersion("etag-or-timestamp", value=...)``: as long as ``version`` stays the same, what
    depends on the asset stays fresh. ``value`` is what consumers and the result of a run get; it
    is stored as if it had been returned itself, and its content does not count.

    Raises:
        TypeError: if the version is no text.
        ValueError: if it is empty.
    """

    version: str
    value: Any = None

    def __post_init__(self) -> None:
        given: object = self.version
        if not isinstance(given, str):
            kind = type(given).__name__
            msg = f"DataVersion takes a version as text, not {kind}; write DataVersion(str(...))"
            raise TypeError(msg)
        if not given.strip():
            msg = "DataVersion takes a version that tells states apart, not an empty text"
            raise ValueError(msg)


def is_stated(data_version: str | None) -> bool:
    """Whether a data version is that of a product which lives elsewhere."""
    return data_version is not None and data_version.startswith(STATED)


@dataclass(frozen=True, slots=True)
class Observer:
    """An observe function of an asset, and how it is called.

    ``name`` tells it from the asset's config parameters and other observe functions. ``config``
    are the parameters that take the asset's config by name, ``context`` those that take the
    ``Context``.
    """

    name: str
    fn: Callable[..., Any]
    config: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What was found outside for one asset.

    ``states`` has one digest for each input path, by parameter, and for each observe function, by
    name; ``shown`` says the same in words, without secrets, each at most 256 bytes. ``error`` is
    empty, or says what failed: then ``states`` lacks something and the asset can't be decided.
    """

    states: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    def unless_torn(self, now: Observed, inputs: Iterable[str], mark: str) -> Observed:
        """The same, unless one of the input paths holds another thing ``now``.

        Nobody knows then what was read in between: its state, made of ``mark``, equals no other.
        """
        torn = [name for name in inputs if now.states.get(name) != self.states.get(name)]
        if not torn:
            return self
        states = dict.fromkeys(torn, f"changed in {mark}")
        shown = dict.fromkeys(torn, "changed while it was read")
        return Observed({**self.states, **states}, {**self.shown, **shown})


NOTHING_OBSERVED = Observed()


def mentions_input(annotation: Any) -> bool:
    """Whether ``InputPath`` occurs anywhere in an annotation, also in fields of its classes."""
    return _mentions(annotation, {})


def takes_paths(annotation: Any) -> bool:
    """Whether an annotation holds input paths in a way that can be read.

    That is ``InputPath``, a union of such with None, or a list, tuple or dict of such.
    """
    annotation = getattr(annotation, "__value__", annotation)  # of a ``type`` statement
    if annotation in (None, type(None), ...):
        return True
    parts = get_args(annotation)
    if INPUT in getattr(annotation, "__metadata__", ()):
        return parts[0] in (Path, Any)
    origin = get_origin(annotation)
    if origin in _MAPPINGS:
        return not mentions_input(parts[0]) and takes_paths(parts[1])
    if origin is Annotated:
        return takes_paths(parts[0])
    return origin in (*_UNIONS, *_SEQUENCES) and all(map(takes_paths, parts))


def paths_in(value: Any) -> Iterator[Path]:
    """The paths of an input parameter's value, in order; text is the path it spells.

    Raises:
        TypeError: for anything but None, paths, text, and lists, tuples and dicts of these.
    """
    if isinstance(value, (str, Path)):
        yield Path(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from paths_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from paths_in(item)
    elif value is not None:
        raise TypeError(f"an input path is a pathlib.Path, not {type(value).__name__}")


def by_content(value: Any, contents: Mapping[Path, str]) -> Any:
    """An input parameter's value with the digest of its content in the place of each path."""
    if isinstance(value, Path):
        return contents[value]
    if isinstance(value, str):  # the function sees the text: it counts as well
        return {"text": value, "content": contents[Path(value)]}
    if isinstance(value, (list, tuple)):
        items = [by_content(item, contents) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: by_content(item, contents) for key, item in value.items()}
    return value


def _mentions(annotation: Any, seen: dict[int, Any]) -> bool:
    text = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(text, str):
        return bool(_WORD.search(text))
    if id(annotation) in seen:
        return False
    seen[id(annotation)] = annotation  # kept alive, so that no id is used twice
    marks = getattr(annotation, "__metadata__", None)
    if marks is not None:
        return INPUT in marks or _mentions(get_args(annotation)[0], seen)
    if get_origin(annotation) is Literal:
        return False
    inner = [*get_args(annotation), getattr(annotation, "__value__", None)]
    if isinstance(annotation, type):
        for base in annotation.__mro__:
            inner += vars(base).get("__annotations__", {}).values()
    return any(_mentions(each, seen) for each in inner)
