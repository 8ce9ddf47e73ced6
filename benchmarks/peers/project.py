"""A small pipeline as text, without a framework, and what is edited in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Where the text before the assets is edited; other places are asset names and file names.
HEAD = "head"

#: The same in every idiom: how a function tells that it was executed.
RAN = '''"""Notes which functions were executed."""

import os


def ran(name: str) -> None:
    with open(os.environ["RAN_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{name}\\n")
'''


@dataclass(frozen=True)
class Asset:
    """A function as text; each idiom wraps it in its own way.

    ``needs`` maps its dependencies to their types. If it ``reads`` a file, ``body`` finds the
    content in ``text``; ``config`` names a whole number it takes. ``lists`` and ``version`` are
    for idioms where an author keeps track by hand: what the body uses, and how often its meaning
    has changed.
    """

    name: str
    returns: str
    body: str
    needs: Mapping[str, str] = field(default_factory=dict)
    decorator: str = ""
    reads: str = ""
    config: str = ""
    lists: tuple[str, ...] = ()
    version: int = 1

    def define(
        self, decorators: Iterable[str], parameters: Iterable[str], first: Iterable[str] = ()
    ) -> str:
        """The function's definition in an idiom; ``first`` are lines before the body."""
        docstring, code = "", self.body
        if code.startswith('"""'):
            docstring, code = code.split("\n", 1)
        lines = [docstring, f'ran("{self.name}")', *first, code]
        above = "".join(f"{line}\n" for line in (*decorators, self.decorator) if line)
        head = f"{above}def {self.name}({', '.join(parameters)}) -> {self.returns}:\n"
        return head + indent("\n".join(filter(None, lines)), "    ") + "\n"

    def typed_needs(self) -> list[str]:
        """Its dependencies as parameters."""
        return [f"{name}: {kind}" for name, kind in self.needs.items()]


@dataclass(frozen=True)
class Project:
    """Assets in an order in which they can be made, the last one being what is asked for."""

    assets: tuple[Asset, ...]
    head: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, int] = field(default_factory=dict)

    @property
    def final(self) -> Asset:
        """The asset that is asked for."""
        return self.assets[-1]

    def module(self, imports: str, definitions: Iterable[str]) -> str:
        """The pipeline's module in an idiom."""
        opening = "\n".join(filter(None, [imports, "from ran import ran", self.head]))
        return "\n\n".join([opening + "\n", *definitions])

    def edited(self, place: str, old: str, new: str) -> Project:
        """The project with ``old`` replaced in the named place.

        Raises:
            ValueError: if ``old`` isn't there, which is a slip in the table of edits.
        """
        if place == HEAD:
            return replace(self, head=_replaced(self.head, old, new))
        if place in self.files:
            return replace(
                self, files={**self.files, place: _replaced(self.files[place], old, new)}
            )
        if place in self.config:
            return replace(self, config={**self.config, place: int(new)})
        edited = tuple(
            replace(asset, body=_replaced(asset.body, old, new)) if asset.name == place else asset
            for asset in self.assets
        )
        return replace(self, assets=edited)

    def counted_up(self, names: Iterable[str]) -> Project:
        """The project after its author counted up the versions of these assets."""
        return replace(
            self,
            assets=tuple(
                replace(asset, version=asset.version + 1) if asset.name in names else asset
                for asset in self.assets
            ),
        )


@dataclass(frozen=True)
class Edit:
    """A change that people make, and what must run because of it.

    ``changed`` are the assets whose function, file or config means something else afterwards;
    ``may_run`` are those where only a reader could tell that nothing changed. ``rewritten`` names
    files that are written again with the same content.
    """

    name: str
    title: str
    before: Project
    after: Project
    changed: frozenset[str]
    may_run: frozenset[str] = frozenset()
    rewritten: frozenset[str] = frozenset()


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        msg = f"{old!r} is not in {text!r}"
        raise ValueError(msg)
    return text.replace(old, new)
