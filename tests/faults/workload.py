"""A module of assets for the trials, and what they return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "int | list[int]"

#: As many entries as take more than the 64 kB that are kept in the database.
LARGE = 20_000

HEAD = """\
import asyncio
import os
import time
from pathlib import Path

from flowstone import asset

LOG = str(Path(__file__).with_name("executions"))


def note(word, name):
    file = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{word} {name} {os.getpid()} {time.monotonic():.6f}\\n".encode())
    os.close(file)


def made(name, inputs, large):
    note("end", name)
    number = sum(each if isinstance(each, int) else each[0] for each in inputs)
    number = (number * 31 + int.from_bytes(name.encode())) % 1_000_003
    return [number] * large if large else number

"""
_SYNC = """
@asset
def {name}({inputs}):
    note("begin", "{name}")
    time.sleep({seconds})
    return made("{name}", [{inputs}], {large})

"""
_ASYNC = """
@asset
async def {name}({inputs}):
    note("begin", "{name}")
    await asyncio.sleep({seconds})
    return made("{name}", [{inputs}], {large})

"""


@dataclass(frozen=True)
class Workload:
    """Layers of assets, each of which takes those beside it in the layer before.

    Every third is async, every fifth returns something large. Each takes ``seconds``.
    """

    layers: int = 5
    width: int = 6
    seconds: float = 0.01

    @property
    def names(self) -> list[str]:
        """The assets, inputs first."""
        return [f"n{layer}_{place}" for layer in range(self.layers) for place in range(self.width)]

    def inputs(self, name: str) -> list[str]:
        """What an asset depends on."""
        layer, place = (int(number) for number in name[1:].split("_"))
        beside = sorted({place, (place + 1) % self.width})
        return [f"n{layer - 1}_{each}" for each in beside] if layer else []

    def is_large(self, name: str) -> bool:
        """Whether its value goes to a file."""
        return self.names.index(name) % 5 == 2

    @property
    def source(self) -> str:
        """The text of the module."""
        return HEAD + "".join(
            (_ASYNC if number % 3 == 1 else _SYNC).format(
                name=name,
                inputs=", ".join(self.inputs(name)),
                seconds=self.seconds,
                large=LARGE if self.is_large(name) else 0,
            )
            for number, name in enumerate(self.names)
        )

    @property
    def expected(self) -> dict[str, Value]:
        """What an uninterrupted run would make."""
        found: dict[str, int] = {}
        for name in self.names:
            total = sum(found[each] for each in self.inputs(name))
            found[name] = (total * 31 + int.from_bytes(name.encode())) % 1_000_003
        return {
            name: [number] * LARGE if self.is_large(name) else number
            for name, number in found.items()
        }
