"""Every error Flowstone raises on purpose.

```text
FlowstoneError
├── DefinitionError              what the user wrote can't be a graph
│   ├── SignatureError           a parameter that can't be read
│   ├── UnknownDependencyError   a parameter that names nothing
│   ├── DuplicateAssetError      one name, two assets
│   ├── CycleError               assets that need each other
│   ├── EdgeTypeError            a parameter that can't take what its asset returns
│   ├── ConfigError              a config value that is unknown or invalid
│   ├── PoolError                an asset's pool that nothing gives a size
│   ├── TargetError              a module that can't be imported or has no assets
│   └── DefinitionErrors         several of the above, told at once
├── SelectionError               a selection that can't be read or names nothing
│   └── EmptySelectionError      a valid pattern that matched no asset
├── PartitionError               a partition key that can't be written down
├── HashingError                 a value without canonical form
├── SettingsError                a setting that is unknown or invalid
├── ReturnTypeError              a function returned what its annotation denies
├── AcceptError                  an asset whose current version can't be accepted
├── ResumeError                  a run that can't be asked for again
├── ResourceError                a resource that can't be opened or closed
├── RunFailedError               at least one asset of a run failed
├── OutputsError                 a function returned something else than its outputs
├── AssetTimeoutError            a function took longer than it may
├── WorkerDiedError              the process that made an asset ended
├── ValueStoreError
│   ├── UnserializableValueError no codec takes the value
│   └── ValueLostError           the stored value is missing or altered
└── StoreError
    ├── NotFoundError            no such row
    ├── IllegalTransitionError   a status that can't follow another
    ├── RunActiveError           the row belongs to a run that is alive
    ├── RunLostError             another process has closed this run
    ├── RunEndedError            the run is over already
    ├── DatabaseUnavailableError no connection to be had
    │   └── EmbeddedServerError  the embedded Postgres can't be started
    └── SchemaError              the schema is missing, older or newer
```

Each message names what is wrong and how to mend it, and never holds a secret.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class FlowstoneError(Exception):
    """The base of all errors that Flowstone raises on purpose."""


class DefinitionError(FlowstoneError):
    """What the user wrote can't be turned into a graph."""


class SignatureError(DefinitionError):
    """A function's parameter that Flowstone can't read."""


class UnknownDependencyError(DefinitionError):
    """A dependency that no asset of the graph provides."""


class DuplicateAssetError(DefinitionError):
    """Two different assets with one name."""


class CycleError(DefinitionError):
    """Assets that depend on each other in a ring.

    ``cycle`` lists the names of the ring in dependency order; the first follows the last.
    """

    def __init__(self, cycle: Sequence[str], places: Sequence[str] | None = None) -> None:
        self.cycle = list(cycle)
        shown = [
            f"{name} ({place})" if place else name
            for name, place in zip(self.cycle, places or [""] * len(self.cycle), strict=True)
        ]
        ring = " -> ".join([*shown, self.cycle[0]]) if shown else ""
        super().__init__(f"cycle: {ring}; remove one of these dependencies")


class EdgeTypeError(DefinitionError):
    """A parameter whose annotation does not admit what the asset it takes is annotated with."""


class ConfigError(DefinitionError):
    """A config value for an unknown parameter, or one its annotation refuses."""


class PoolError(DefinitionError):
    """An asset names a pool, and nothing says how many of it may run at once."""


class TargetError(DefinitionError):
    """A target that can't be found, can't be imported or holds no assets."""


class DefinitionErrors(DefinitionError):
    """Several definition errors, told at once; ``errors`` lists them."""

    def __init__(self, errors: Sequence[DefinitionError]) -> None:
        self.errors = list(errors)
        super().__init__("\n".join(str(error) for error in self.errors))

    @classmethod
    def raise_any(cls, errors: Sequence[DefinitionError]) -> None:
        """Raise nothing for none, the error itself for one, all of them for several."""
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise cls(errors)


class SelectionError(FlowstoneError):
    """A selection that can't be read, or that names an unknown asset."""


class EmptySelectionError(SelectionError):
    """A valid selection that matched no asset."""


class PartitionError(FlowstoneError):
    """A partition key that can't be written down without ambiguity."""


class HashingError(FlowstoneError):
    """A value without canonical form; ``path`` says where inside the value it stands."""

    def __init__(self, message: str, path: str = "") -> None:
        self.path = path
        super().__init__(message)


class SettingsError(FlowstoneError):
    """A setting that is unknown or has an invalid value."""


class ReturnTypeError(FlowstoneError):
    """An asset's function returned a value that its return annotation does not admit."""


class AcceptError(FlowstoneError):
    """An asset whose current version can't stand for the code, inputs and config of now."""


class ResumeError(FlowstoneError):
    """A run that is alive, or that does not say enough to be asked for again."""


class ResourceError(FlowstoneError):
    """A resource can't be opened, or can't be closed; its cause is what the provider raised.

    What can't be opened fails the assets that take it. What can't be closed is raised at the end
    of the run, when everything is recorded; ``result`` is then the ``RunResult``.
    """

    def __init__(self, message: str) -> None:
        self.result: object = None
        super().__init__(message)


class RunFailedError(FlowstoneError):
    """At least one asset of a run failed; everything that did not need it was completed.

    ``result`` is the ``RunResult`` with every status and value there is.
    """

    def __init__(self, message: str, result: object) -> None:
        self.result = result
        super().__init__(message)


class OutputsError(FlowstoneError):
    """A function with several outputs returned something else than these."""


class AssetTimeoutError(FlowstoneError, TimeoutError):
    """An asset's function took longer than its ``timeout``.

    What a thread is doing can't be stopped: it is left to itself, and its result is not taken.
    A process is killed.
    """


class WorkerDiedError(FlowstoneError):
    """The process in which an asset was made ended before the asset was done."""


class ValueStoreError(FlowstoneError):
    """A value can't be kept or can't be had."""


class UnserializableValueError(ValueStoreError):
    """No codec takes the value an asset returned."""


class ValueLostError(ValueStoreError):
    """A stored value is missing, or its bytes are not those that were recorded."""


class StoreError(FlowstoneError):
    """The database refused, or can't be used."""


class NotFoundError(StoreError):
    """No such row."""


class IllegalTransitionError(StoreError):
    """A status that can't follow the row's present one."""

    def __init__(self, present: str, wanted: str, legal: Iterable[str]) -> None:
        self.present, self.wanted = present, wanted
        after = ", ".join(legal) or "none, it is final"
        super().__init__(f"status {present!r} can't become {wanted!r}; legal after it: {after}")


class RunActiveError(StoreError):
    """The row belongs to a run that is alive; only that run's journal writes it."""


class RunLostError(StoreError):
    """The run's lease is gone: another process took this run for dead and closed it."""


class RunEndedError(StoreError):
    """The run is over: there is nothing to stop."""


class DatabaseUnavailableError(StoreError):
    """No connection to the database."""


class SchemaError(StoreError):
    """The database's schema is missing, older, or newer than this Flowstone."""


class EmbeddedServerError(DatabaseUnavailableError):
    """The embedded Postgres can't be started."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'orders'?"`` with the nearest of ``known``, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
