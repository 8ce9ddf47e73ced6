"""Code versions: digests of an asset's function and of the project code it reaches.

``core.fingerprint`` says what code is, from its text. Here are its texts: the project's files as
they were loaded, notebook cells as they ran; and the live objects: functions, closures, and what
was put in the place of something else.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from flowstone.core.code import Code
from flowstone.core.hashing import combine
from flowstone.sources.codebase import look, look_at_classes
from flowstone.sources.project import is_project as is_project

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from flowstone.core.asset import AnyAsset


def codes(assets: Iterable[AnyAsset], cache: Path | None = None) -> dict[str, Code]:
    """The code of each asset by name.

    Each file is read and parsed once per process, and its summary kept in the folder ``cache``,
    if there is one that can be written.

    Raises:
        DefinitionError: if ``track=`` names no installed distribution, or ``ignore=`` nothing.
    """
    pinned: dict[str, Code] = {}
    followed: list[AnyAsset] = []
    for asset in assets:
        if asset.code_version is not None:
            pinned[asset.name] = Code(combine("pinned", asset.code_version))
        else:
            followed.append(asset)
    return pinned | look(followed, cache)


def class_code(classes: AbstractSet[type], cache: Path | None = None) -> str:
    """A digest of the code of some classes, all that they reach included.

    An empty text if none of them is the project's. Code that can't be followed gives another
    digest each time.
    """
    code = look_at_classes(frozenset(classes), cache) if classes else None
    if code is None:
        return ""
    return code.version or combine("unknown", uuid.uuid4().hex)
