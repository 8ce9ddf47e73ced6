"""Returned values against return annotations: what is cheap for all, the whole where asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from flowstone.core.annotations import EMPTY
from flowstone.core.config import adapter_of, first_error, mentions_secret
from flowstone.core.edges import shown, value_type, written_type
from flowstone.core.text import cap
from flowstone.core.typed.forms import ANY
from flowstone.core.typed.reading import read
from flowstone.core.typed.values import misfit
from flowstone.errors import ReturnTypeError

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset

_SHOWN_BYTES = 400
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


def check_returned(asset: AnyAsset, value: object) -> None:
    """Hold what a function returned against its return annotation; the value is never changed.

    By default what is cheap: the outer class, and a few items of builtin containers.
    ``validate=True`` looks at all of it, with pydantic in strict mode; ``validate=False`` at
    nothing.

    Raises:
        ReturnTypeError: if the annotation does not admit the value. The message shows types and
            the way to the part that is wrong, no values.
    """
    written, given = asset.written_return, type(value)
    if asset.validate is False or written is EMPTY:
        return
    if given in _SCALARS and not asset.validate and (written is given or asset.returns is given):
        return  # just that class, with nothing inside
    kind = written_type(asset) if asset.validate else value_type(asset)
    if kind == ANY:
        return
    adapter = _adapter(asset) if asset.validate else None
    reason = misfit(value, kind, whole=bool(asset.validate) and adapter is None)
    if not reason and adapter is not None:
        reason = _invalid(asset, adapter, value)
    if reason:
        raise ReturnTypeError(
            f"{asset.label} returned what its annotation {shown(asset.written_return)} does not"
            f" admit: {cap(reason, _SHOWN_BYTES)}; correct one of them, or set validate=False"
        )


def _adapter(asset: AnyAsset) -> TypeAdapter[Any] | None:
    """Pydantic's view of the annotation; None for one it has no view of."""
    if read(asset.returns, asset.evaluate) != written_type(asset):
        return None
    try:
        adapter = adapter_of(asset.returns)
        return adapter if adapter.pydantic_complete else None
    except (PydanticUserError, NameError, TypeError):
        return None


def _invalid(asset: AnyAsset, adapter: TypeAdapter[Any], value: object) -> str:
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        secret = mentions_secret(asset.returns, set())
        return f"the value{first_error(error, secret=secret)}"
    except Exception as error:  # noqa: BLE001 - validators are the user's code
        return f"validation raised {type(error).__name__}"
    return ""
