"""The one edge where the driver's errors become ours.

Most specific first: a state that a person has to mend keeps its own sentence, whatever says that
the server is away or gave up is `Unavailable`, a value that PostgreSQL cannot keep is
`InvalidInput`. Anything else is a mistake of this program and stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.errors import InvalidInput, Unavailable, UpnextError
from core.tls import trouble

_ADVICE = {
    "28": "PostgreSQL refused the login: check the user and password in UPNEXT_POSTGRES_URL, "
    "or what UPNEXT_POSTGRES_PASSWORD_FILE names",
    "3D": "PostgreSQL does not have that database: create it or correct UPNEXT_POSTGRES_URL",
    "53100": "the disk of PostgreSQL is full: free some space there",
    "42P01": "the database lacks a table: run `upnext migrate`",
    "42703": "the database lacks a column: run `upnext migrate`",
}
"""SQLSTATE or its class, and what the reader should do about it."""

_AWAY = ("08", "25006", "40", "53", "55P03", "57", "58", "XX")
"""SQLSTATEs (or classes) of a server that is away, full, read-only, or gave up on a lock."""

_NUL = ("22021", "22P05")
_VALUE = "22"


@contextmanager
def mapped() -> Iterator[None]:
    """Raise ours for the driver's errors in the block. Errors of ours pass unchanged."""
    try:
        yield
    except UpnextError:
        raise
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def translate(error: BaseException) -> UpnextError | None:
    """The error of ours for one of the driver's, None when it is a mistake of the program."""
    state = _sqlstate(error)
    for prefix, advice in _ADVICE.items():
        if state.startswith(prefix):
            return Unavailable("postgres", advice)
    if state in _NUL:
        return InvalidInput("A text holds a NUL character, which PostgreSQL cannot keep: remove it")
    if state.startswith(_VALUE) or isinstance(_cause(error), asyncpg.DataError):
        return InvalidInput("PostgreSQL cannot keep a value: a number or time is out of range")
    if state.startswith(_AWAY):
        return Unavailable("postgres")
    if not state and _connection_lost(error):
        said = trouble(error)
        return Unavailable("postgres", f"PostgreSQL over TLS: {said}" if said else "")
    return None


def _sqlstate(error: BaseException) -> str:
    source = error.orig if isinstance(error, DBAPIError) else error
    return getattr(source, "sqlstate", None) or ""


def _cause(error: BaseException) -> BaseException | None:
    return error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error


def _connection_lost(error: BaseException) -> bool:
    """Whether an error without SQLSTATE says that nobody answered."""
    if isinstance(error, DBAPIError):
        return isinstance(_cause(error), asyncpg.InterfaceError | OSError) or (
            error.connection_invalidated
        )
    return isinstance(error, OSError | PoolTimeoutError | asyncpg.InterfaceError)
