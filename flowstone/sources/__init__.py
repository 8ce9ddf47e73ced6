"""Code versions: digests of an asset's function and of the project code it can reach.

A function of a project file takes in that file and every project file it imports, however
deeply, comments, docstrings and layout left out. A function without a file (a notebook cell)
takes in its own source and, by the names it uses, that of the functions and classes and the
values of the constants it reaches. That is at times too much, never too little: what can't be
followed makes the version None, and the asset always runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.code import UNKNOWN_CODE, Code
from flowstone.core.hashing import combine
from flowstone.sources.files import Files, UnknownCodeError
from flowstone.sources.files import is_project as is_project
from flowstone.sources.live import LiveCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.core.asset import AnyAsset


def codes(assets: Iterable[AnyAsset]) -> dict[str, Code]:
    """The code of each asset by name.

    Each file is read once.
    """
    files = Files()
    return {asset.name: _code(asset, files) for asset in assets}


def _code(asset: AnyAsset, files: Files) -> Code:
    if asset.code_version is not None:
        return Code(combine("pinned", asset.code_version))
    try:
        return Code(combine("code", *LiveCode(files).of_asset(asset)))
    except UnknownCodeError:
        return UNKNOWN_CODE
