"""What code does that its text can't tell: running text, importing by name, asking the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.fingerprint.names import words

if TYPE_CHECKING:
    from flowstone.core.code import Level
    from flowstone.core.fingerprint.link import Module, Node
    from flowstone.core.fingerprint.summary import Part

#: Calls that import or execute what only running tells.
_DYNAMIC = words(
    "builtins.__import__ builtins.eval builtins.exec importlib.__import__ importlib.import_module"
    " importlib.reload importlib.util.exec_module importlib.util.module_from_spec"
    " pkgutil.resolve_name pydoc.locate runpy.run_module runpy.run_path"
)
#: What a module may read of the world when it is imported: names, and heads of names.
_WORLD = words(
    "builtins.input builtins.open datetime.date.today datetime.datetime.now"
    " datetime.datetime.today datetime.datetime.utcnow os.environ os.environb os.getcwd os.getenv"
    " os.getpid os.listdir os.popen os.urandom socket.gethostname sys.argv time.monotonic"
    " time.perf_counter time.time time.time_ns uuid.uuid1 uuid.uuid4"
)
_WORLD_HEADS = ("getpass.", "numpy.random.", "os.environ.", "platform.", "random.", "secrets.")
_NOT_YET_READ = ("random.Random", "random.SystemRandom")


def told(module: Module, part: Part, ref: str, near: Node) -> tuple[Level, str] | None:
    """What to say about a reference to something that is no definition of the project."""
    name = f"{module.label}.{part.name}"
    if near.kind == "whole":
        return "assumed", f"{name} uses {ref.strip(':') or 'its module'} as a whole"
    if near.kind not in {"outside", "builtin"}:
        return None
    outside = f"{near.module}.{near.name}" if near.kind == "builtin" else near.name
    if outside in _DYNAMIC:
        used = outside.rpartition(".")[2]
        return "unknown", f"{name} uses {used} on what is known only when it runs"
    asked = outside in _WORLD or outside.startswith(_WORLD_HEADS)
    if asked and ref in part.eager and not outside.startswith(_NOT_YET_READ):
        return "assumed", f"{name} is set at import from outside ({outside}); make it config"
    return None
