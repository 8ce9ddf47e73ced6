"""Which errors of the driver mean that there is no connection, and which may pass."""

from __future__ import annotations

import pytest
from psycopg import errors as pg

from flowstone.store.faults import is_unreachable, may_pass


@pytest.mark.parametrize(
    "error",
    [
        pg.OperationalError("server closed the connection unexpectedly"),
        pg.InterfaceError("the connection is closed"),
        pg.AdminShutdown(),
        pg.CannotConnectNow(),
        pg.ConnectionFailure(),
        pg.IdleInTransactionSessionTimeout(),
    ],
)
def test_a_connection_that_is_gone_is_known_whatever_class_its_error_has(error: pg.Error) -> None:
    assert is_unreachable(error)
    assert may_pass(error)


@pytest.mark.parametrize("error", [pg.SerializationFailure(), pg.DeadlockDetected()])
def test_a_transaction_that_was_in_the_way_of_another_is_tried_again(error: pg.Error) -> None:
    assert not is_unreachable(error)
    assert may_pass(error)


@pytest.mark.parametrize("error", [pg.UniqueViolation(), pg.DataError("nul"), ValueError("x")])
def test_what_is_wrong_with_a_row_stays_wrong(error: Exception) -> None:
    assert not may_pass(error)
