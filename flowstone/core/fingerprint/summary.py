"""What one module says: the parts that make up each of its names. A pure function of its text."""

from __future__ import annotations

import marshal
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from flowstone.core.fingerprint.scopes import Touch
from flowstone.core.hashing import combine

ALGORITHM = 1
"""Version of everything that decides about digests of code; summaries of another one are stale."""


class Part(NamedTuple):
    """One statement (or a function inside one), without comments, docstrings and layout.

    ``kind`` is ``function``, ``class``, ``value`` or ``import``; a branch's test is in its parts.
    ``docs`` is the digest of its docstrings; ``root`` that of a function without its name,
    defaults and annotations, as an asset counts; ``hints`` what its parameters' annotations refer
    to, ``given`` what only its defaults do; ``literal`` the digest of a constant's value; ``metas``
    a class's metaclass, ``has_hooks`` whether it learns of its subclasses; ``past`` numbers the
    parts it made use of when it was executed that have been replaced since.

    References are explained in ``names``; ``eager`` and ``calls`` are among ``refs``, ``mutates``
    and ``touches`` in ``scopes``. ``start`` and ``end`` count bytes in UTF-8, as do the spans of
    the ``secrets`` written in it.
    """

    kind: str
    name: str
    digest: str
    line: int
    start: int
    end: int
    refs: dict[str, int] = {}  # noqa: RUF012 - never changed
    eager: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    mutates: tuple[str, ...] = ()
    touches: tuple[Touch, ...] = ()
    hints: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    metas: tuple[str, ...] = ()
    docs: str = ""
    root: str = ""
    literal: str = ""
    target: str = ""
    reads_docs: bool = False
    reads_hints: bool = False
    is_decorated: bool = False
    is_asset: bool = False
    is_conditional: bool = False
    has_hooks: bool = False
    past: tuple[int, ...] = ()
    secrets: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Summary:
    """What a module says.

    ``parts`` are its statements in order; ``names`` maps each name to the numbers of the parts
    that it is made of; ``loose`` are numbers of those that give no name a value but may change
    others; ``inner`` those of functions, lambdas and classes inside other statements, from
    ``first_inner`` on. ``stars`` are modules whose names are all imported, with the number of the
    part they come after; ``imports`` all modules that are imported anywhere, ``typed`` what type
    checkers alone see; ``exports`` what ``__all__`` lists, if that is said in words; ``doc`` the
    module's docstring. ``whole`` is a reason why the text could not be read; then it counts as a
    whole.
    """

    parts: list[Part] = field(default_factory=list)
    names: dict[str, list[int]] = field(default_factory=dict)
    loose: list[int] = field(default_factory=list)
    inner: list[int] = field(default_factory=list)
    stars: list[tuple[int, str]] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    typed: dict[str, str] = field(default_factory=dict)
    last_line: int = 0
    whole: str = ""
    exports: list[str] | None = None
    doc: str = ""

    def dump(self) -> bytes:
        """As bytes with a checksum, for ``load``."""
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        held["parts"] = [_shortened(part) for part in self.parts]
        body = marshal.dumps(held, _FORMAT)
        return combine("summary", body).encode() + body

    @classmethod
    def load(cls, raw: bytes) -> Summary | None:
        """What ``dump`` wrote, or None if that is not what the bytes are."""
        checksum, body = raw[:40], raw[40:]
        if combine("summary", body).encode() != checksum:
            return None
        held: dict[str, Any] = marshal.loads(body)  # noqa: S302 - what is damaged fails the checksum
        held["parts"] = [_part(each) for each in held["parts"]]
        return cls(**held)


def _shortened(part: Part) -> tuple[Any, ...]:
    """The fields of a part up to the last one that says something, without classes of ours."""
    held = [*part]
    held[_TOUCHES] = tuple(map(tuple, part.touches))
    while held[-1] == _DEFAULTS[len(held) - 1]:
        held.pop()
    return tuple(held)


def _part(held: tuple[Any, ...]) -> Part:
    part = Part(*held)
    if not part.touches:
        return part
    return part._replace(touches=tuple(Touch(*each) for each in part.touches))


#: Of all that ``marshal`` writes, what is the same for equal values on every Python.
_FORMAT = 2
_TOUCHES = Part._fields.index("touches")
_DEFAULTS = [Part._field_defaults.get(name, _part) for name in Part._fields]
