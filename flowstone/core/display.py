"""How objects of ours come to be drawn in a notebook."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Displayed:
    """Draws itself where there is a front end for it; how, only the notebook face knows."""

    __slots__ = ()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The object as HTML, as text, and as SVG if it is a picture; the caller picks."""
        # By name: the arrows between our modules point the other way.
        bundle: dict[str, Any] = import_module("flowstone.notebook").bundle(self)
        return bundle
