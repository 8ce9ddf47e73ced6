"""The driver's errors as ours, and which of them pass."""

from __future__ import annotations

from psycopg import errors as pg

from flowstone.errors import DatabaseUnavailableError, RunLostError, StoreError

#: SQLSTATEs: connection exceptions, operator intervention, too many connections, a transaction
#: that was idle for too long, which ends its connection, and a server that only follows another.
_UNREACHABLE = ("08", "57P", "53300", "25P03", "25006")
#: Serialization failure, deadlock, no room left, no lock or no end within the time there was.
_PASSING = ("40001", "40P01", "53", "55P03", "57014")


def is_unreachable(error: BaseException) -> bool:
    """No connection, or a server that shuts down; a deadlock or a full disk is something else."""
    if isinstance(error, pg.Error) and error.sqlstate is not None:
        return error.sqlstate.startswith(_UNREACHABLE)
    return isinstance(error, (pg.OperationalError, pg.InterfaceError))


def may_pass(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when it is tried again."""
    code = error.sqlstate if isinstance(error, pg.Error) else None
    return is_unreachable(error) or (code is not None and code.startswith(_PASSING))


def translated(error: pg.Error) -> StoreError:
    """Our error for the driver's; DETAIL stays out, it quotes whole rows."""
    primary = error.diag.message_primary or type(error).__name__
    if isinstance(error, pg.UniqueViolation):
        return StoreError("this run has a row for that asset and partition already")
    if isinstance(error, pg.InsufficientPrivilege):
        return StoreError(
            f"this role of the database may not do that: {primary}; use one that may, see:"
            f" python -m flowstone db roles"
        )
    if isinstance(error, pg.CheckViolation | pg.DataError | pg.NotNullViolation):
        return StoreError(f"the database refused the row: {primary}")
    if is_unreachable(error):
        return DatabaseUnavailableError(
            f"the database does not answer: {_broken(error) or primary};"
            f" once it does, run again: what is recorded stays"
        )
    if may_pass(error):
        return DatabaseUnavailableError(
            f"the database can't take anything now: {primary} (SQLSTATE {error.sqlstate});"
            f" once it can, run again: what is recorded stays"
        )
    return StoreError(f"the database refused: {primary} (SQLSTATE {error.sqlstate})")


def lost(run_id: str) -> RunLostError:
    """What a run is told whose lease is gone."""
    return RunLostError(
        f"run {run_id} was taken for dead by another process, its results are not recorded;"
        f" run again, what was recorded is reused"
    )


def _broken(error: pg.Error) -> str:
    """What the server or libpq says of a broken connection, without libpq's guesses."""
    said = error.diag.message_primary or str(error).partition("\n")[0]
    return said.removeprefix("consuming input failed: ")
