"""The notebook face: displays of assets, graphs, plans, runs and explanations, and progress.

HTML and SVG without scripts or outside references, each with a twin in plain text. A display
decodes no value, calls no function of the user's, opens no connection and raises nothing.
"""

from __future__ import annotations

from typing import Any

from flowstone.core.asset import Asset
from flowstone.core.dag import AssetGraph
from flowstone.core.plan import Plan
from flowstone.core.reason import Explanation
from flowstone.notebook import definitions, plans, reasons, runs
from flowstone.notebook.places import readable
from flowstone.result import RunResult

Bundle = dict[str, str]


def bundle(value: object) -> Bundle:
    """An object of ours by MIME type: ``text/html``, ``text/plain``; a graph as SVG, too."""
    try:
        told = _bundle(value)
        return told | {"text/plain": readable(told["text/plain"])}
    except Exception:  # noqa: BLE001 - a display must not fail the cell that made the object
        return {"text/plain": repr(value)}


def _bundle(value: Any) -> Bundle:
    match value:
        case Asset():
            return definitions.asset(value)
        case AssetGraph():
            return definitions.graph(value)
        case Plan():
            return plans.plan(value)
        case RunResult():
            return runs.run(value)
        case Explanation():
            return reasons.explanation(value)
    return {"text/plain": repr(value)}
