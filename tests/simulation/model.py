"""What is simulated: a graph of assets whose code changes, and what each value has to be."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone import Asset, Context
from flowstone.core.policy import Retry

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.values import IOManager

Inputs: TypeAlias = "Mapping[str, int]"
Fails: TypeAlias = Literal["never", "once", "always"]


class BodyError(Exception):
    """What an asset that fails raises."""


@dataclass(frozen=True)
class Code:
    """What one asset is at a moment; ``modulus`` is how many values it can have.

    ``kept`` is where its value is, ``seconds`` how long its function takes; these decide nothing.
    """

    edit: int
    needs: tuple[str, ...]
    modulus: int
    fails: Fails = "never"
    kept: Literal["inline", "shelf"] = "inline"
    seconds: float = 0.0

    @property
    def version(self) -> str:
        """The same text for the same code only."""
        return f"{self.edit}/{self.modulus}/{self.fails == 'always'}"

    def value(self, name: str, partition: object, inputs: Inputs) -> int:
        """What the function makes of its inputs."""
        told = repr((name, self.version, partition, sorted(inputs.items())))
        return zlib.crc32(told.encode()) % self.modulus


#: The code of all assets, dependencies first.
Project: TypeAlias = "dict[str, Code]"
#: Calls the function of an asset: its name, its code, the run's context and its inputs.
Body: TypeAlias = "Callable[[str, Code, Context, dict[str, int]], Awaitable[int]]"


def drawn(chance: random.Random) -> Project:
    """Any project of 1 to 12 assets."""
    project: Project = {}
    density = chance.choice((0.15, 0.3, 0.6))
    for number in range(chance.choice((1, 2, 3, 4, 4, 5, 6, 7, 9, 12))):
        name = f"a{number}"
        needs = tuple(each for each in project if chance.random() < density)
        project[name] = Code(
            edit=0,
            needs=needs,
            modulus=chance.choice((1, 2, 3, 1000, 1000)),
            fails=chance.choice(("never",) * 12 + ("once", "always")),
            kept=chance.choice(("inline", "inline", "shelf")),
            seconds=chance.choice((0.0, 0.0, 0.001, 0.05, 0.3, 0.3, 2.0, 40.0)),
        )
    return project


def edited(chance: random.Random, project: Project, edit: int) -> Project:
    """The project with the code of one asset changed."""
    name = chance.choice(list(project))
    code = project[name]
    kind = chance.choice(("body", "body", "range", "need", "fails"))
    if kind == "body":
        code = replace(code, edit=edit)
    elif kind == "range":
        code = replace(code, modulus=chance.choice((1, 2, 1000)))
    elif kind == "fails":
        code = replace(code, fails="never" if code.fails == "always" else "always")
    else:
        before = list(project)[: list(project).index(name)]
        code = replace(code, needs=tuple(each for each in before if chance.random() < 0.5))
    return {**project, name: code}


def values(project: Project, partition: object) -> dict[str, int]:
    """What a run from scratch makes of each asset; those that fail are not there."""
    made: dict[str, int] = {}
    for name, code in project.items():
        if code.fails != "always" and all(each in made for each in code.needs):
            made[name] = code.value(name, partition, {each: made[each] for each in code.needs})
    return made


def assets(project: Project, body: Body, shelf: IOManager) -> list[AnyAsset]:
    """The project's assets, whose functions are ``body``."""
    return [
        Asset(
            _function(code.needs)(functools.partial(body, name, code)),
            name=name,
            code_version=code.version,
            io=shelf if code.kept == "shelf" else None,
            retries=Retry(2, delay=0.5) if code.fails == "once" else None,
        )
        for name, code in project.items()
    ]


@functools.cache
def _function(needs: tuple[str, ...]) -> Callable[[Callable[..., Awaitable[int]]], Any]:
    """Makes functions that take just these parameters, as a user would have written them."""
    given = ", ".join(f"{each!r}: {each}" for each in needs)
    text = (
        "def made(body):\n"
        f"    async def function({', '.join(('context: Context', *needs))}):\n"
        f"        return await body(context, {{{given}}})\n"
        "    return function\n"
    )
    scope: dict[str, Any] = {"Context": Context}
    exec(text, scope)  # noqa: S102 - parameters have to be real ones
    function: Callable[[Callable[..., Awaitable[int]]], Any] = scope["made"]
    return function
