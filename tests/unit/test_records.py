"""A record made without checks is as good as one made with them."""

from __future__ import annotations

import datetime as dt
import pickle
import uuid

import pytest
from pydantic import ValidationError

from flowstone.core.records import Materialization, ValuePointer

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture
def checked() -> Materialization:
    return Materialization(
        id=uuid.uuid4(),
        asset_name="a",
        run_id="r",
        status="success",
        inputs={"upstream": {"b": "v"}},
        value=ValuePointer(codec="json", size=1, content_digest="d"),
        inserted_at=MOMENT,
        updated_at=MOMENT,
    )


@pytest.fixture
def trusted(checked: Materialization) -> Materialization:
    return Materialization.trusted(dict(checked.__dict__))


def test_it_is_equal_and_shows_and_dumps_the_same(
    checked: Materialization, trusted: Materialization
) -> None:
    assert trusted == checked
    assert repr(trusted) == repr(checked)
    assert trusted.model_dump() == checked.model_dump()
    assert trusted.model_dump_json() == checked.model_dump_json()


def test_it_is_copied_and_pickled(checked: Materialization, trusted: Materialization) -> None:
    assert pickle.loads(pickle.dumps(trusted)) == checked  # noqa: S301 - our own bytes
    changed = trusted.model_copy(update={"status": "stale"})
    assert (changed.status, trusted.status) == ("stale", "success")
    assert trusted.model_copy(deep=True) == checked


def test_a_copy_of_one_changes_no_other(checked: Materialization, trusted: Materialization) -> None:
    trusted.model_copy(update={"unheard_of": 1})
    again = Materialization.trusted(dict(checked.__dict__))
    assert "unheard_of" not in again.model_fields_set


def test_it_is_frozen(trusted: Materialization) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        trusted.status = "stale"
