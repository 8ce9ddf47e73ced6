"""The names of assets: which there can be, and what stands for one."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from flowstone.errors import SignatureError

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset

#: Names go into selections, files and tables.
_JOINTS = re.compile(r"[./-]")
_NAME_BYTES = 512


def named(name: str) -> str:
    """A name in the form Python gives identifiers (NFKC), so that all ways to type it agree."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def is_legal(name: str) -> bool:
    """Whether an asset can have that name: words joined by ``. / -``, none of these in front."""
    if name.isidentifier() and len(name) * 4 <= _NAME_BYTES:
        return True
    words = _JOINTS.split(name)
    legal = words[0].isidentifier() and all(f"_{word}".isidentifier() for word in words)
    return legal and len(name.encode("utf-8", "replace")) <= _NAME_BYTES


def no_name(name: str, place: str) -> SignatureError:
    """The error for a name that an asset defined at ``place`` can't have."""
    return SignatureError(
        f"{name[:80]!r} ({place}) can't name an asset: begin with a letter or _,"
        f" go on with letters, digits, _ . / -, at most {_NAME_BYTES} bytes; set name="
    )


def name_of(source: AnyAsset | str) -> str:
    """The name of an asset given as itself or by name."""
    return source if isinstance(source, str) else source.name


def checked(source: Any) -> AnyAsset | str:
    """An asset or the name of one; asset modules import this one, so it looks for what they have.

    Raises:
        SignatureError: for anything else.
    """
    if isinstance(source, str) or hasattr(source, "depends_on"):
        known: AnyAsset | str = source
        return known
    shown = getattr(source, "__name__", None) or f"a value of type {type(source).__name__}"
    raise SignatureError(f"{shown} is no asset; decorate it with @asset, or give an asset's name")
