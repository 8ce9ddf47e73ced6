"""Where things are: keyword, then environment, then pyproject.toml, then the embedded default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flowstone.core.pools import Pool, read_pools
from flowstone.errors import SettingsError, did_you_mean

_MARKS = (".flowstone", "pyproject.toml", ".git")


class Settings(BaseModel):
    """Everything that can be set, each by keyword, environment or ``[tool.flowstone]``.

    ``database_url`` (``FLOWSTONE_DATABASE_URL``) is any libpq connection string; None means the
    embedded server. ``schema`` (``FLOWSTONE_SCHEMA``) is the schema of the tables; None leaves it
    to the search path. ``home`` (``FLOWSTONE_HOME``) is the folder of the embedded server and of
    the values. ``values`` (``FLOWSTONE_VALUES``) is the value store's folder. ``auto_migrate``
    (``FLOWSTONE_AUTO_MIGRATE``) migrates an older database on first use. ``log``
    (``FLOWSTONE_LOG``) is how logs are written: ``human`` or ``json``. ``pickle``
    (``FLOWSTONE_PICKLE``) allows pickle for values no other codec takes. ``io``
    (``FLOWSTONE_IO``) names the ``IOManager`` that keeps the values of assets that don't say
    otherwise, as ``package.module:object``; None means the value store. ``max_concurrency``
    (``FLOWSTONE_MAX_CONCURRENCY``) is how many functions run in threads at once; None leaves it
    to the machine. ``database_patience`` (``FLOWSTONE_DATABASE_PATIENCE``) is how many seconds a
    run waits for a database that went away. ``pools`` (``FLOWSTONE_POOLS``, such as
    ``gpu=1, api=4@100/min``) says how many assets of each pool run at once, and how many may start
    per time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    # Not shown: it may hold a password.
    database_url: str | None = Field(default=None, repr=False)
    schema_name: str | None = None
    home: Path
    values: Path
    auto_migrate: bool = True
    log: Literal["human", "json"] = "human"
    pickle: bool = True
    io: str | None = None
    max_concurrency: int | None = Field(default=None, ge=1)
    database_patience: float = Field(default=1800.0, ge=0)
    pools: Annotated[Mapping[str, Pool], BeforeValidator(read_pools)] = Field(default_factory=dict)

    def __hash__(self) -> int:
        # Not all of it: pools are a mapping.
        return hash((self.database_url, self.schema_name, self.home, self.values))

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """Resolve the settings; a keyword that is None counts as not given.

        Raises:
            SettingsError: for an unknown setting or an invalid value; it names its source.
        """
        root, merged = _merged(given)
        values = {_FIELDS[name]: value for name, (value, _) in merged.items()}
        try:
            values["home"] = home = _folder(values.get("home", ".flowstone"), root)
            values["values"] = _folder(values.get("values") or f"{home}/values", root)
            return cls.model_construct(**values) if _is_plain(values) else cls(**values)
        except ValidationError as error:
            raise _invalid(error, merged) from None

    @classmethod
    def sources(cls, **given: Any) -> dict[str, str]:
        """Where each setting comes from: a keyword, a variable, a file, or the default.

        Raises:
            SettingsError: for an unknown setting, or a file that can't be read.
        """
        _, merged = _merged(given)
        return {name: merged.get(name, ("", "default"))[1] for name in VARIABLES}


VARIABLES = {
    "database_url": "FLOWSTONE_DATABASE_URL",
    "schema": "FLOWSTONE_SCHEMA",
    "home": "FLOWSTONE_HOME",
    "values": "FLOWSTONE_VALUES",
    "auto_migrate": "FLOWSTONE_AUTO_MIGRATE",
    "log": "FLOWSTONE_LOG",
    "pickle": "FLOWSTONE_PICKLE",
    "io": "FLOWSTONE_IO",
    "max_concurrency": "FLOWSTONE_MAX_CONCURRENCY",
    "database_patience": "FLOWSTONE_DATABASE_PATIENCE",
    "pools": "FLOWSTONE_POOLS",
}
_FOLDERS = {"home", "values"}
_TEXTS = {*_FOLDERS, "database_url", "schema_name", "io"}
_FIELDS = {name: "schema_name" if name == "schema" else name for name in VARIABLES}


def _merged(given: dict[str, Any]) -> tuple[Path, dict[str, tuple[Any, str]]]:
    """The project's folder, and what is set, each with its source."""
    root, table = _project()
    merged: dict[str, tuple[Any, str]] = {}
    for name, value in table.items():
        _known(name, "pyproject.toml [tool.flowstone]")
        merged[name] = (value, "pyproject.toml [tool.flowstone]")
    for name, variable in VARIABLES.items():
        if os.environ.get(variable):
            merged[name] = (os.environ[variable], variable)
    for name, value in given.items():
        _known(name, "a keyword")
        if value is not None:
            merged[name] = (value, f"{name}=")
    return root, merged


def _project() -> tuple[Path, dict[str, Any]]:
    """The nearest folder that looks like a project, and its ``[tool.flowstone]``."""
    here = Path.cwd()
    root = next(
        (folder for folder in (here, *here.parents) if any((folder / m).exists() for m in _MARKS)),
        here,
    )
    file = root / "pyproject.toml"
    if not file.is_file():
        return root, {}
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        msg = f"can't read {file}: {error}"
        raise SettingsError(msg) from None
    table = document.get("tool", {}).get("flowstone", {})
    return root, table if isinstance(table, dict) else {}


def _is_plain(values: Mapping[str, Any]) -> bool:
    """Whether nothing has to be read or refused: pydantic takes long to get ready for that."""
    kinds = ((value, Path if name in _FOLDERS else str) for name, value in values.items())
    return values.keys() <= _TEXTS and all(isinstance(value, kind) for value, kind in kinds)


def _folder(given: Any, root: Path) -> Any:
    """An absolute path; what can't be one is left to be refused with the other settings."""
    if not isinstance(given, (str, Path)):
        return given
    folder = Path(given).expanduser()
    return (folder if folder.is_absolute() else root / folder).resolve()


def _known(name: str, source: str) -> None:
    if name not in VARIABLES:
        hint = did_you_mean(name, VARIABLES) or f"; there are {', '.join(VARIABLES)}"
        msg = f"unknown setting {name!r} in {source}{hint}"
        raise SettingsError(msg)


def _invalid(error: ValidationError, merged: dict[str, tuple[Any, str]]) -> SettingsError:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    name = "schema" if name == "schema_name" else name
    source = merged.get(name, ("", name))[1]
    text = first["msg"].removeprefix("Value error, ")
    told = source if name in source.lower() else f"{name} in {source}"
    return SettingsError(f"invalid setting {told}: {text}")
