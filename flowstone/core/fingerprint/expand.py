"""One node of the graph of definitions: its own digest, what it reaches next, what to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flowstone.core.code import Definition, Remark
from flowstone.core.fingerprint.canonical import hints_in
from flowstone.core.fingerprint.link import Linker, Module, Node
from flowstone.core.fingerprint.mask import cut
from flowstone.core.fingerprint.world import told
from flowstone.core.hashing import combine, content_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.fingerprint.summary import Part


@dataclass(slots=True)
class Extra:
    """What live objects add to a node: texts that count, nodes, and what to say about them.

    ``held`` are nodes that a container holds now; they count unless the text tells of them.
    """

    texts: list[str] = field(default_factory=list)
    edges: list[tuple[str, Node]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    held: list[Node] = field(default_factory=list)

    def add(self, *texts: str) -> None:
        """Add texts."""
        self.texts += texts

    def reach(self, node: Node) -> None:
        """Add a node, at this place among the texts."""
        self.edges.append((str(len(self.texts)), node))
        self.texts.append("@")


class Living(Protocol):
    """What live objects say that texts can't."""

    def besides(self, node: Node, module: Module) -> Extra | None:
        """What to add to a module's name besides its text."""

    def value(self, node: Node, module: Module) -> Extra:
        """What stands for a global that no statement sets."""


@dataclass(slots=True)
class Expansion:
    """A node laid open; ``parts`` are the statements it is made of.

    ``reads_docs`` and ``reads_hints`` tell whether its code looks at docstrings, at annotations.
    """

    own: str
    edges: list[tuple[str, Node]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    parts: Sequence[Part] = ()
    definition: Definition | None = None
    held: Sequence[Node] = ()
    reads_docs: bool = False
    reads_hints: bool = False

    @property
    def hints(self) -> str:
        """The digest of the annotations in its functions."""
        return hints_in(self.definition.source) if self.definition is not None else ""

    @property
    def docs(self) -> str:
        """The digest of its docstrings."""
        return "".join(part.docs for part in self.parts)


class Expander:
    """Lays nodes open, each once."""

    def __init__(self, linker: Linker, living: Living) -> None:
        self._linker = linker
        self._living = living
        self._known: dict[Node, Expansion] = {}
        self._extras: dict[Node, Extra | None] = {}

    def expand(self, node: Node) -> Expansion:
        """What a node is, apart from what other statements do to it."""
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._expand(node)
        return found

    def alone(self, node: Node) -> tuple[str, Definition] | None:
        """Its own digest and definition, of a ``root`` that reaches nothing and is beyond doubt.

        That is what ``expand`` says of it, for less.
        """
        module = self._linker.module(node.module)
        if module is None or module.trouble is not None:
            return None
        part = module.summary.parts[node.number]
        if part.hints or part.past or part.reads_docs or part.reads_hints:
            return None
        for ref in part.refs:
            if ref not in part.given and self._linker.resolve(module, ref):
                return None
        own = part.root or part.digest
        return own, _definition(module, part.name, [part], own)

    def is_current(self) -> bool:
        """Whether live objects still say what they said."""
        for node, before in self._extras.items():
            module = self._linker.module(node.module)
            if module is None or self._living.besides(node, module) != before:
                return False
        return True

    def near(self, node: Node) -> list[Node]:
        """What a node reaches next."""
        return [near for _, near in self.expand(node).edges]

    def _expand(self, node: Node) -> Expansion:
        module = self._linker.module(node.module)
        if module is None or node.kind in {"outside", "builtin"}:
            return Expansion(combine("outside", node.name))
        if node.kind == "whole":
            return self._whole(node, module)
        if node.kind == "doc":
            return Expansion(combine("doc", module.summary.doc))
        if node.kind == "live":
            extra = self._living.value(node, module)
            return Expansion(combine("live", *extra.texts), extra.edges, extra.remarks)
        if node.kind == "def":
            return self._defined(node, module)
        part = module.summary.parts[node.number]
        return self._made_of(module, part.name, [part], as_root=node.kind == "root")

    def _defined(self, node: Node, module: Module) -> Expansion:
        made = self._made_of(module, node.name, module.parts(node.name))
        extra = self._extras[node] = self._living.besides(node, module)
        if extra is not None:
            if extra.texts:
                made.own = combine("live", made.own, *extra.texts)
            made.edges += extra.edges
            made.remarks += extra.remarks
            made.held = extra.held
        return made

    def _made_of(
        self, module: Module, name: str, parts: list[Part], *, as_root: bool = False
    ) -> Expansion:
        own = [part.root if as_root and part.root else part.digest for part in parts]
        made = Expansion(own[0] if len(own) == 1 else combine("parts", *own), parts=parts)
        if module.trouble is not None:
            made.remarks.append(module.trouble)
        resolve, edges = self._linker.resolve, made.edges
        for part in parts:
            made.reads_docs = made.reads_docs or part.reads_docs
            made.reads_hints = made.reads_hints or part.reads_hints
            for ref in part.refs:
                if as_root and ref in part.given:
                    continue
                label = ref.rpartition(":")[2] if ":" in ref else ref
                for near in resolve(module, ref):
                    edges.append((label, near))
                    if near.kind != "def":
                        self._tell(module, part, ref, near, made)
            for number in part.past:
                edges.append(("then", Node("part", module.name, "", number)))
            if as_root and part.hints:
                self._follow_hints(module, part, made)
        if parts:
            made.definition = _definition(module, name, parts, made.own)
        return made

    def _tell(self, module: Module, part: Part, ref: str, near: Node, made: Expansion) -> None:
        whole = self._linker.module(near.module) if near.kind == "whole" else None
        said = told(module, part, ref, near)
        if said is not None and not (whole and whole.summary.whole):
            level, text = said
            made.remarks.append(Remark(level, text, module.place(part.refs[ref])))

    def _follow_hints(self, module: Module, part: Part, made: Expansion) -> None:
        """An asset may call methods of the classes its parameters are annotated with."""
        for hint in part.hints:
            root, _, rest = hint.partition(".")
            typed = module.summary.typed.get(root)
            ref = hint if typed is None else typed + (f".{rest}" if rest else "")
            for near in self._linker.resolve(module, ref):
                target = self._linker.module(near.module) if near.kind == "def" else None
                if target and all(p.kind != "function" for p in target.parts(near.name)):
                    made.edges.append(("", near))

    def _whole(self, node: Node, module: Module) -> Expansion:
        if module.summary.whole:
            return self._unread(module)
        made = Expansion(combine("whole"))
        if module.trouble is not None:
            made.remarks.append(module.trouble)
        for name in module.summary.names:
            for near in self._linker.resolve(module, name):
                made.edges.append((name, near))
        for number in module.summary.loose:
            made.edges.append(("", Node("part", node.module, "", number)))
        for inner in self._linker.submodules(node.module):
            made.edges.append((inner.rpartition(".")[2], Node("whole", inner)))
        return made

    def _unread(self, module: Module) -> Expansion:
        """A file that can't be read as Python counts by its bytes."""
        made = Expansion(combine("bytes", content_digest(module.data)))
        text = f"{module.label} counts as a whole ({module.summary.whole})"
        made.remarks.append(module.trouble or Remark("assumed", text, module.place(1)))
        made.definition = Definition(module.label, made.own, module.place(1), "")
        return made


def _definition(module: Module, name: str, parts: list[Part], own: str) -> Definition:
    if len(parts) == 1:
        source = cut(module.data, parts[0].start, parts[0].end, parts[0].secrets)
    else:
        pieces = [cut(module.data, part.start, part.end, part.secrets) for part in parts]
        source = "\n".join(dict.fromkeys(pieces))
    return Definition(f"{module.label}.{name}", own, module.place(parts[0].line), source)
