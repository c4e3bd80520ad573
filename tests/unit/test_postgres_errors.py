"""Which of the driver's errors become ours, and the list of those that do not."""

import asyncpg
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.errors import InvalidInput, Unavailable
from storage.postgres.errors import mapped, translate

pytestmark = pytest.mark.unit

PROGRAM_CLASSES = {
    "0A", "0B", "0F", "0L", "0P", "0Z", "09", "01", "02", "03", "10", "20", "21", "23", "24", "25",
    "26", "27", "2B", "2D", "2F", "34", "38", "39", "3B", "3F", "42", "44", "54", "55", "72", "F0",
    "HV", "P0",
}  # fmt: skip
"""Classes of SQLSTATE that only a mistake of the program brings about: they are not hidden."""


def _errors() -> dict[str, type[Exception]]:
    """The driver's errors by SQLSTATE."""
    kinds = [getattr(asyncpg.exceptions, name) for name in dir(asyncpg.exceptions)]
    return {state: kind for kind in kinds if (state := getattr(kind, "sqlstate", None))}


def test_what_stays_unmapped_is_the_programs_own_fault() -> None:
    kinds = _errors()
    assert len(kinds) > 200
    unmapped = {state[:2] for state, kind in kinds.items() if translate(kind("...")) is None}
    assert unmapped <= PROGRAM_CLASSES


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (asyncpg.TooManyConnectionsError, "did not answer"),
        (asyncpg.DiskFullError, "disk of PostgreSQL is full"),
        (asyncpg.AdminShutdownError, "did not answer"),
        (asyncpg.CannotConnectNowError, "did not answer"),
        (asyncpg.DeadlockDetectedError, "did not answer"),
        (asyncpg.ReadOnlySQLTransactionError, "did not answer"),
        (asyncpg.InvalidPasswordError, "refused the login"),
        (asyncpg.InvalidCatalogNameError, "does not have that database"),
        (asyncpg.UndefinedTableError, "upnext migrate"),
        (asyncpg.UndefinedColumnError, "upnext migrate"),
        (asyncpg.InterfaceError, "did not answer"),
        (ConnectionRefusedError, "did not answer"),
        (TimeoutError, "did not answer"),
        (PoolTimeoutError, "did not answer"),
    ],
)
def test_a_server_that_cannot_be_used_is_unavailable(kind: type[Exception], says: str) -> None:
    with pytest.raises(Unavailable, match=says) as caught, mapped():
        raise kind("...")
    assert caught.value.dependency == "postgres"
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (asyncpg.CharacterNotInRepertoireError, "NUL"),
        (asyncpg.UntranslatableCharacterError, "NUL"),
        (asyncpg.NumericValueOutOfRangeError, "out of range"),
        (asyncpg.DataError, "out of range"),
    ],
)
def test_a_value_that_cannot_be_kept_is_the_callers(kind: type[Exception], says: str) -> None:
    with pytest.raises(InvalidInput, match=says), mapped():
        raise kind("...")


def test_a_mistake_of_the_program_is_not_hidden() -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError), mapped():
        raise asyncpg.PostgresSyntaxError("...")
