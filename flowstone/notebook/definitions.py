"""An asset and a graph as they are defined, and how they stand if that is known at once."""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from typing import TYPE_CHECKING, Any

from flowstone.core.annotations import EMPTY
from flowstone.core.config import MASK, display, is_secret
from flowstone.core.dag import AssetGraph
from flowstone.core.namespaces import defined_in
from flowstone.core.render import tree
from flowstone.errors import FlowstoneError
from flowstone.notebook import states
from flowstone.notebook.markup import (
    block,
    heading,
    lines,
    mark,
    quiet,
    scrolled,
    text,
)
from flowstone.notebook.picture import describe, picture
from flowstone.notebook.places import readable
from flowstone.notebook.runs import kind
from flowstone.portal import glance
from flowstone.telling.words import ago, duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.core.asset import AnyAsset
    from flowstone.core.plan import Plan, Step
    from flowstone.core.signature import Parameter

#: Seconds that a display waits for the state of what it shows.
_PATIENCE = 1.0
_NAMES_SHOWN = 12
_DEFAULT_BYTES = 60
_DESCRIPTION_BYTES = 1_200


def graph(drawn: AssetGraph) -> dict[str, str]:
    """A graph in HTML, SVG and text, coloured by state if that is known at once."""
    plan = _plan(drawn, list(drawn))
    known = states.of_plan(plan) if plan else {}
    names = drawn.execution_order()
    told = describe(drawn, known, names)
    svg = picture(drawn, known, names)
    more = "" if svg or not names else ": too many to draw; graph(x) draws what x needs"
    html = block(heading("Graph", quiet(told + more)), scrolled(svg) if svg else "", label="Graph")
    bundle = {"text/html": html, "text/plain": tree(drawn).rstrip("\n") or "an empty graph"}
    return bundle | ({"image/svg+xml": picture(drawn, known, names, alone=True)} if svg else {})


def asset(shown: AnyAsset) -> dict[str, str]:
    """An asset in HTML and text."""
    around = _around(shown)
    facts = _facts(shown, around)
    step = _step(shown, around)
    state = mark(states.of_step(step)) if step else ""
    why = states.of_step(step).detail if step else ""
    html = block(
        heading(shown.name, state, quiet(why if step and step.action != "reuse" else "")),
        lines([signature(shown)] if shown.fn is not None else []),
        _described(shown.description or ""),
        "".join(f"<div>{quiet(name + ':')} {text(told)}</div>" for name, told in facts.items()),
        "".join(f"<div>{quiet(each)}</div>" for each in _standing(step)),
        "".join(f'<div class="fs-e">{text(str(each))}</div>' for each in shown.problems),
        label=f"Asset {shown.name}",
    )
    by = f"{shown.name}, made by " if shown.maker is not None else ""
    plain = [by + signature(shown) if shown.fn is not None else shown.name]
    plain += [f"  {shown.description.splitlines()[0]}"] if shown.description else []
    plain += [f"  {name}: {told}" for name, told in facts.items()]
    plain += [f"  {states.of_step(step).word}: {why}"] if step else []
    plain += [f"  {each}" for each in (*_standing(step), *map(str, shown.problems))]
    return {"text/html": html, "text/plain": "\n".join(plain)}


def signature(shown: AnyAsset) -> str:
    """The head of an asset's function; defaults that may be secrets are masked."""
    fn = inspect.unwrap(shown.fn) if shown.fn is not None else None
    result = getattr(fn, "__annotations__", {}).get("return", EMPTY)
    arrow = "" if result is EMPTY else f" -> {_annotation(result)}"
    inside = [_parameter(each) for each in shown.parameters]
    head = f"{'async ' if shown.is_async else ''}{(shown.maker or shown).name}"
    whole = f"{head}({', '.join(inside)}){arrow}"
    if len(whole) <= 96:  # noqa: PLR2004 - what fits on one line
        return whole
    return "\n".join([f"{head}(", *(f"    {each}," for each in inside), f"){arrow}"])


def _parameter(each: Parameter) -> str:
    annotated = "" if each.annotation is EMPTY else f": {_annotation(each.annotation)}"
    if each.default is EMPTY:
        return f"{each.name}{annotated}"
    hidden = is_secret(each.name, each.default)
    default = MASK if hidden else display(each.default, _DEFAULT_BYTES)
    return f"{each.name}{annotated}{' = ' if annotated else '='}{default}"


def _annotation(given: Any) -> str:
    return given if isinstance(given, str) else inspect.formatannotation(given)


def _described(description: str) -> str:
    if not description:
        return ""
    return f'<div style="white-space:pre-line">{text(description, _DESCRIPTION_BYTES)}</div>'


def _facts(shown: AnyAsset, around: AssetGraph | None) -> dict[str, str]:
    """What is said of an asset beside its signature, as far as there is something to say."""
    present = _present(shown, around)
    below = [each for one in present for each in around.dependents(one.name)] if around else []
    along = [name for name in shown.maker.outputs if name != shown.name] if shown.maker else []
    found = {
        "makes": _some(shown.outputs),
        "made together with": _some(along),
        "needs": _some(present[0].depends_on if present else shown.depends_on),
        "resources": _some(present[0].resources if present else ()),
        "needed by": _some(dict.fromkeys(below)),
        "group": shown.group or "",
        "tags": _some(sorted(shown.tags)),
        "owners": _some(shown.owners),
        "defined in": readable(shown.place) if not _is_cell(shown) else "",
        "replaced": "" if present or around is None else "a later definition has its name",
    }
    return {name: told for name, told in found.items() if told}


def _present(shown: AnyAsset, around: AssetGraph | None) -> list[AnyAsset]:
    """The asset as it stands in a graph, or all that it makes; nothing if it was replaced."""
    listed = [*shown.outputs.values()] or [shown]
    inside = [around[each.name] for each in listed if around and each.name in around]
    return [each for each in inside if any(each.original is one.original for one in listed)]


def _is_cell(shown: AnyAsset) -> bool:
    """Whether an asset is defined where its reader is."""
    return shown.namespace is vars(sys.modules["__main__"])


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMES_SHOWN
    return ", ".join([*listed[:_NAMES_SHOWN], *([f"and {more} others"] if more > 0 else [])])


def _around(shown: AnyAsset) -> AssetGraph | None:
    """The graph that an asset belongs to: of its own namespace and, if it can be, the notebook's.

    None if no graph can be built with it.
    """
    own = defined_in(shown.namespace)
    main = defined_in(vars(sys.modules["__main__"]))
    for found in ([*main, *own], own, [shown]):
        unique = list({id(each): each for each in found}.values())
        try:
            built = AssetGraph.from_targets(unique)
        except FlowstoneError:
            continue
        if any(name in built for name in shown.outputs or (shown.name,)):
            return built
    return None


def _step(shown: AnyAsset, around: AssetGraph | None) -> Step | None:
    """What the next run would do with an asset; None if that is not known at once.

    Of several that one function makes, one that would run comes first.
    """
    present = _present(shown, around)
    if around is None or not present:
        return None
    names = [each.name for each in present]
    needed = [around[name] for name in around.execution_order(*names)]
    plan = _plan(around, needed, *present)
    steps = [plan[name] for name in names] if plan else []
    return next((step for step in steps if step.action != "reuse"), steps[0] if steps else None)


def _plan(drawn: AssetGraph, concerned: list[AnyAsset], *targets: AnyAsset) -> Plan | None:
    """The plan of now, if the connection is open, and planning calls no function of the user's."""
    if not concerned or any(each.observe for each in concerned):
        return None
    return glance(lambda fs: fs.plan(*targets, assets=drawn), _PATIENCE)


def _standing(step: Step | None) -> list[str]:
    """When the current version was made, by which run, and what it is."""
    made = step.current if step else None
    if made is None or made.completed_at is None:
        return []
    told = [f"last made {ago(made.completed_at, dt.datetime.now(dt.UTC))} by run {made.run_id}"]
    told += [duration(made.duration_ms)] if made.duration_ms is not None else []
    return [", ".join([*told, *filter(None, [kind(made)])])]
