"""Pipelines to edit: their parts, the state of each part, their source text, and their values.

A pipeline's *shape* stays: assets, what they take, and the helpers they reach, in what way. Its
*state* is what edits change: numbers, how they are written, layout, defaults, input files. Some
functions make two assets, *twins*: they share all that decides but have values of their own.
"""

from __future__ import annotations

import copy
import functools
import textwrap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

#: From the deepest on: each may import those before it.
MODULES = ("rebuild_deep", "rebuild_help", "rebuild_one", "rebuild_two")
LOG = "rebuild"
#: Values are small numbers, so that edits often come out the same.
MODULUS = 4
#: Characters that make a value too big for its row.
BIG = 70_000

Kind = Literal[
    "constant",
    "function",
    "lambda",
    "default",
    "closure",
    "class",
    "base",
    "dataclass",
    "enum",
    "table",
    "partial",
    "decorated",
]
#: How a definition of another module is reached.
Way = Literal["name", "alias", "attribute", "module alias", "inside"]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]  # typing has no public way
WAYS: tuple[Way, ...] = Way.__args__  # type: ignore[attr-defined]  # typing has no public way
Wrap = Literal["int", "text", "list", "tuple"]
#: What an asset makes of the number that its function comes to: the second of twins often stays
#: the same where the first does not; ``same`` is the very object that the first one is.
Turn = Literal["as it is", "next", "half", "zero", "same"]
TURNS: tuple[Turn, ...] = ("next", "half", "zero", "same")


@dataclass(frozen=True)
class Helper:
    """A definition, and those before it that it uses, in what ways."""

    name: str
    module: int
    kind: Kind
    uses: tuple[tuple[str, Way], ...]


@dataclass(frozen=True)
class Take:
    """A dependency; one that is not passed decides all the same."""

    name: str
    weight: int
    passed: bool


@dataclass(frozen=True)
class Made:
    """An asset: what it takes and reaches, what its value is wrapped in, what else decides.

    ``function`` is the name of its function: its own, unless that makes several.
    """

    name: str
    function: str
    module: int
    takes: tuple[Take, ...]
    uses: tuple[tuple[str, Way], ...]
    wrap: Wrap
    rate: bool
    source: bool
    in_closure: bool
    is_async: bool
    always: bool
    turn: Turn = "as it is"
    by_name: bool = False


@dataclass(frozen=True)
class Shape:
    """What stays of a pipeline."""

    helpers: dict[str, Helper]
    assets: dict[str, Made]

    @functools.cached_property
    def functions(self) -> dict[str, list[Made]]:
        """The assets that each function makes."""
        found: dict[str, list[Made]] = {}
        for made in self.assets.values():
            found.setdefault(made.function, []).append(made)
        return found

    @property
    def things(self) -> list[str]:
        """All that has a form, functions of assets first."""
        return [*self.functions, *self.helpers]

    @property
    def sources(self) -> list[str]:
        """The functions of assets that read a file."""
        return [name for name, outputs in self.functions.items() if outputs[0].source]

    @property
    def twins(self) -> list[str]:
        """The assets whose function makes another one too."""
        return [name for name in self.assets if len(self.together(name)) > 1]

    def together(self, name: str) -> list[str]:
        """All that the function of an asset makes."""
        return [each.name for each in self.functions[self.assets[name].function]]

    def needed(self, targets: frozenset[str]) -> list[str]:
        """The targets and all they need, dependencies first."""
        found = set(targets or self.assets)
        for name in reversed(self.assets):
            if name in found:
                found |= {take.name for take in self.assets[name].takes}
        return [name for name in self.assets if name in found]

    def reached(self, name: str) -> list[str]:
        """The helpers that an asset reaches, in order."""
        found = {used for used, _ in self.assets[name].uses}
        for helper in reversed(self.helpers):
            if helper in found:
                found |= {used for used, _ in self.helpers[helper].uses}
        return [helper for helper in self.helpers if helper in found]


@dataclass(frozen=True)
class Form:
    """A definition's number, and how it is written; neither ``layout`` nor ``noise`` counts."""

    number: int = 1
    writing: int = 0
    layout: int = 0


@dataclass
class State:
    """What edits change."""

    forms: dict[str, Form]
    defaults: dict[str, int]
    files: dict[str, int]
    noise: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODULES, 0))
    broken: frozenset[str] = frozenset()

    @classmethod
    def first(cls, shape: Shape) -> State:
        return cls(
            dict.fromkeys(shape.things, Form()),
            dict.fromkeys(shape.functions, 1),
            {file: 1 for name in shape.sources for file in files_of(name)},
        )

    def copy(self) -> State:
        return copy.deepcopy(self)


def files_of(function: str) -> tuple[str, str]:
    """The input file that a function reads by default, and another one."""
    return f"{function}.txt", f"{function}-other.txt"


#: An asset's name, code, inputs, config and file content.
Ingredients: TypeAlias = tuple[str, object, tuple[int, ...], int | None, int | None]


@dataclass(frozen=True)
class Now:
    """The pipeline as one run finds it; config and files go by function."""

    shape: Shape
    state: State
    rates: dict[str, int]
    elsewhere: frozenset[str]

    def rate(self, name: str) -> int | None:
        """An asset's config, if it has any."""
        made = self.shape.assets[name]
        default = self.state.defaults[made.function]
        return self.rates.get(made.function, default) if made.rate else None

    def content(self, name: str) -> int | None:
        """What the file that an asset reads holds, if it reads one."""
        made = self.shape.assets[name]
        if not made.source:
            return None
        return self.state.files[files_of(made.function)[made.function in self.elsewhere]]

    def numbers(self) -> dict[str, int]:
        """The number in each asset's value: everything made from scratch."""
        helpers: dict[str, int] = {}
        for name, helper in self.shape.helpers.items():
            own = self.state.forms[name].number
            helpers[name] = own + sum(helpers[used] for used, _ in helper.uses)
        found: dict[str, int] = {}
        for name, made in self.shape.assets.items():
            total = self.state.forms[made.function].number
            total += sum(helpers[used] for used, _ in made.uses)
            total += sum(take.weight * found[take.name] for take in made.takes if take.passed)
            total += (self.rate(name) or 0) + (self.content(name) or 0)
            found[name] = turned(made.turn, total % MODULUS)
        return found

    def code(self, name: str) -> object:
        """All of an asset's code that means anything."""
        made = self.shape.assets[name]
        form = self.state.forms[made.function]
        # A closure holds the number itself, however that was written.
        writing = 0 if made.in_closure else form.writing
        below = [(each, self.state.forms[each]) for each in self.shape.reached(name)]
        helpers = tuple((each, form.number, form.writing) for each, form in below)
        return form.number, writing, made.function in self.state.broken, helpers

    def ingredients(self, name: str, numbers: dict[str, int]) -> Ingredients:
        """All that decides what an asset's value is."""
        takes = tuple(numbers[take.name] for take in self.shape.assets[name].takes)
        return name, self.code(name), takes, self.rate(name), self.content(name)


def turned(turn: Turn, total: int) -> int:
    """The number of an asset whose function came to a total."""
    match turn:
        case "as it is" | "same":
            return total
        case "next":
            return (total + 1) % MODULUS
        case "half":
            return total // 2
        case "zero":
            return 0


def value_of(shape: Shape, asset: str, number: int) -> Any:
    """A value with a number in it; big ones differ from asset to asset, but of ``same`` ones."""
    made = shape.assets[asset]
    name = shape.together(asset)[0] if made.turn == "same" else asset
    match made.wrap:
        case "int":
            return number
        case "text":
            return f"{name}:{number}:" + "x" * BIG
        case "list":
            return [number, name, "x" * BIG]
        case "tuple":
            return (number, name)


_TURNS: dict[Turn, str] = {
    "as it is": "total",
    "next": f"(total + 1) % {MODULUS}",
    "half": "total // 2",
    "zero": "0",
}
_WRAPS: dict[Wrap, str] = {
    "int": "{total}",
    "text": f'"{{name}}:" + str({{total}}) + ":" + "x" * {BIG}',
    "list": f'[{{total}}, "{{name}}", "x" * {BIG}]',
    "tuple": '({total}, "{name}")',
}
_READS: dict[Wrap, str] = {
    "int": "{0}",
    "text": 'int({0}.split(":")[1])',
    "list": "{0}.pop(0)",  # to the harm of others that take the same list
    "tuple": "{0}[0]",
}


# Source text


def write(folder: Path, now: Now) -> None:
    """Write the modules and the input files; what is as it was is left alone."""
    texts = {f"{module}.py": _module(now, folder, rank) for rank, module in enumerate(MODULES)}
    texts |= {name: str(number) for name, number in now.state.files.items()}
    for name, text in texts.items():
        file = folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def _module(now: Now, folder: Path, rank: int) -> str:
    shape, noise = now.shape, now.state.noise[MODULES[rank]]
    helpers = [each for each in shape.helpers.values() if each.module == rank]
    functions = [each for each in shape.functions.values() if each[0].module == rank]
    uses = [use for helper in helpers for use in helper.uses]
    uses += [use for outputs in functions for use in outputs[0].uses]
    imports = dict.fromkeys(_import(shape, rank, *use) for use in uses if use[1] != "inside")
    head = [
        "import dataclasses, enum, functools, logging, pathlib",
        "from flowstone import InputPath, asset",
    ]
    texts = [_helper(now, each) for each in helpers]
    texts += [_function(now, folder, each) for each in functions]
    return "\n".join([*_NOISE[noise], *head, *filter(None, imports), *texts])


#: Beginnings of a module that mean nothing to what follows.
_NOISE: tuple[list[str], ...] = (
    [],
    ["# nothing", "", ""],
    ['"""A module."""', "import json", "def noise(): return json.dumps(1)"],
    ["def noise(): return 2"],
)


def _import(shape: Shape, rank: int, name: str, way: Way) -> str:
    module = MODULES[shape.helpers[name].module]
    if module == MODULES[rank]:
        return ""
    match way:
        case "name" | "inside":
            return f"from {module} import {name}"
        case "alias":
            return f"from {module} import {name} as {name}_too"
        case "attribute":
            return f"import {module}"
        case "module alias":
            return f"import {module} as {module}_too"


def _reference(shape: Shape, rank: int, name: str, way: Way) -> str:
    """The name by which a helper is reached, then what gives its number."""
    helper = shape.helpers[name]
    module = MODULES[helper.module]
    prefix = {"attribute": f"{module}.", "module alias": f"{module}_too."}.get(way, "")
    suffix = "_too" if way == "alias" else ""
    bare = helper.module == rank
    return (name if bare else f"{prefix}{name}{suffix}") + _CALLS[helper.kind]


_CALLS: dict[Kind, str] = {
    "constant": "",
    "function": "()",
    "lambda": "()",
    "default": "()",
    "closure": "()",
    "class": "().total()",
    "base": "().total()",
    "dataclass": "().rate",
    "enum": ".ONE.value",
    "table": '["one"]',
    "partial": "()",
    "decorated": "()",
}

_HELPERS: dict[Kind, str] = {
    "constant": "{name} = {sum}",
    "function": "def {name}({note}):\n    {doc}\n    return {sum}",
    "lambda": "{name} = lambda: {sum}",
    "default": "def {name}(a{annotation}={number}):\n    {doc}\n    return a{more}",
    "closure": (
        "def {name}_made(n):\n    {doc}\n    def inner():\n        return n{more}\n"
        "    return inner\n{name} = {name}_made({number})"
    ),
    "class": (
        "class {name}:\n    {doc}\n    rate = {number}\n"
        "    def total(self):\n        {doc}\n        return self.rate{more}"
    ),
    "base": (
        "class {name}_base:\n    {doc}\n    def total(self):\n        return {sum}\n"
        "class {name}({name}_base):\n    {doc}\n    pass"
    ),
    "dataclass": (
        "@dataclasses.dataclass(frozen=True)\nclass {name}:\n    {doc}\n    rate: int = {sum}"
    ),
    "enum": "class {name}(enum.Enum):\n    {doc}\n    ONE = {sum}",
    "table": '{name} = {{"one": {sum}, "two": 2}}',
    "partial": (
        "def {name}_base(a):\n    {doc}\n    return a{more}\n"
        "{name} = functools.partial({name}_base, {number})"
    ),
    "decorated": (
        "def {name}_adds(fn):\n    {doc}\n    @functools.wraps(fn)\n    def around():\n"
        "        return fn() + {number}\n    return around\n"
        "@{name}_adds\ndef {name}():\n    {doc}\n    return 0{more}"
    ),
}
_WRITINGS = ("{0}", "({0} + 0)", "int({0})", "(0 + {0})")
#: Comment above, docstring, comment behind; the last reads a parameter's annotation too.
_LAYOUTS = (
    ("", "", "", ""),
    ("# changed\n\n\n", '"""One."""', "  # so", ""),
    ("\n\n", '"""Another\n    one."""', "", ": int"),
    ("", "# only a comment", "  # or so", ": float"),
)


def _number(form: Form) -> str:
    return _WRITINGS[form.writing].format(form.number)


def _helper(now: Now, helper: Helper) -> str:
    form = now.state.forms[helper.name]
    above, doc, behind, annotation = _LAYOUTS[form.layout]
    uses = [_reference(now.shape, helper.module, *use) for use in helper.uses]
    more = "".join(f" + {use}" for use in uses)
    text = _HELPERS[helper.kind].format(
        name=helper.name,
        number=_number(form),
        more=more,
        sum=_number(form) + more,
        doc=doc,
        note="",
        annotation=annotation,
    )
    return above + text + behind


def _function(now: Now, folder: Path, outputs: list[Made]) -> str:
    made, name = outputs[0], outputs[0].function
    form = now.state.forms[name]
    above, doc, behind, annotation = _LAYOUTS[form.layout]
    passed = [take for take in made.takes if take.passed]
    parameters = [f"{take.name}{annotation and ': object'}" for take in passed]
    if made.rate:
        parameters.append(f"rate: int = {now.state.defaults[name]}")
    if made.source:
        parameters.append(f"source: InputPath = pathlib.Path({str(folder / files_of(name)[0])!r})")
    deps = [take.name for take in made.takes if not take.passed]
    names = [each.name for each in outputs]
    several = f", outputs={names!r}" if len(names) > 1 else ""
    lines = [
        f"@asset(deps={deps!r}, always={made.always}{several})",
        f"{'async ' if made.is_async else ''}def {name}({', '.join(parameters)}):",
        f"    {doc}",
        *(f"    {line}" for line in _body(now, made, form)),
        *(f"    {line}" for line in _returns(outputs)),
    ]
    lines[-1] += behind
    if made.in_closure:
        inner = textwrap.indent("\n".join(lines), "    ")
        lines = [
            f"def {name}_made(number):",
            inner,
            f"    return {name}",
            f"{name} = {name}_made({_number(form)})",
        ]
    return above + "\n".join(lines)


def _returns(outputs: list[Made]) -> list[str]:
    """The last lines of a function: the value of each output, and all of them returned."""
    first, *others = outputs
    lines = [f"first = {_value(first)}"]
    if not others:
        return [*lines, "return first"]
    values = ["first", *("first" if each.turn == "same" else _value(each) for each in others)]
    if not first.by_name:
        return [*lines, f"return {', '.join(values)}"]
    items = (f"{each.name!r}: {value}" for each, value in zip(outputs, values, strict=True))
    return [*lines, f"return {{{', '.join(items)}}}"]


def _value(made: Made) -> str:
    return _WRAPS[made.wrap].format(name=made.name, total=_TURNS[made.turn])


def _body(now: Now, made: Made, form: Form) -> list[str]:
    shape, name = now.shape, made.function
    inside = [_import(shape, made.module, *use) for use in made.uses if use[1] == "inside"]
    uses = [_reference(shape, made.module, *use) for use in made.uses]
    takes = [
        f"{take.weight} * {_READS[shape.assets[take.name].wrap].format(take.name)}"
        for take in made.takes
        if take.passed
    ]
    others = ["rate"] * made.rate + ["int(source.read_text())"] * made.source
    number = "number" if made.in_closure else _number(form)
    broken = ["raise ValueError(name)"] if name in now.state.broken else []
    return [
        f"name = {name!r}",
        f"logging.getLogger({LOG!r}).info(name)",
        *filter(None, inside),
        *broken,
        f"total = {number}",
        *(f"total += {term}" for term in (*uses, *takes, *others)),
        f"total %= {MODULUS}",
    ]


# Random shapes

_SOME_WRAPS: tuple[Wrap, ...] = ("int", "tuple", "text", "list", "list")


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Pipelines of up to six assets and six helpers."""
    helpers: dict[str, Helper] = {}
    for number in range(draw(st.integers(2, 6))):
        module = draw(st.integers(0, 3))
        uses = _uses(draw, helpers, module, 2, WAYS[:4])
        helpers[f"h{number}"] = Helper(f"h{number}", module, draw(st.sampled_from(KINDS)), uses)
    assets: dict[str, Made] = {}
    for number in range(draw(st.integers(3, 6))):
        made = _made(draw, f"a{number}", helpers, list(assets))
        for each in _twins(draw, made):
            assets[each.name] = each
    return Shape(helpers, assets)


def _twins(draw: st.DrawFn, made: Made) -> list[Made]:
    """The asset alone, or with another one of the same function."""
    if draw(st.sampled_from([True, True, False])):
        return [made]
    number = made.name.removeprefix("a")
    first = replace(made, function=f"f{number}", by_name=draw(st.booleans()))
    turn = draw(st.sampled_from(TURNS))
    wrap = first.wrap if turn == "same" else draw(st.sampled_from(_SOME_WRAPS))
    return [first, replace(first, name=f"b{number}", turn=turn, wrap=wrap)]


def _uses(
    draw: st.DrawFn, helpers: dict[str, Helper], module: int, most: int, ways: tuple[Way, ...]
) -> tuple[tuple[str, Way], ...]:
    near = [name for name, each in helpers.items() if each.module <= module]
    if not near:
        return ()
    names = draw(st.lists(st.sampled_from(near), max_size=most, unique=True))
    return tuple((name, draw(st.sampled_from(ways))) for name in names)


def _made(draw: st.DrawFn, name: str, helpers: dict[str, Helper], before: list[str]) -> Made:
    needs = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
    takes = tuple(
        Take(need, draw(st.integers(1, 2)), draw(st.sampled_from([True, True, True, False])))
        for need in needs
    )
    module = draw(st.integers(2, 3))
    chance = st.sampled_from([False, False, True])
    return Made(
        name,
        name,
        module,
        takes,
        _uses(draw, helpers, module, 3, WAYS),
        draw(st.sampled_from(_SOME_WRAPS)),
        rate=draw(st.booleans()),
        source=draw(st.booleans()),
        in_closure=draw(chance),
        is_async=draw(chance),
        always=draw(st.sampled_from([False] * 9 + [True])),
    )
