"""How both drivers of PostgreSQL reach it: TLS as libpq means it, and a password that may change.

`sslmode`, `sslrootcert`, `sslcert` and `sslkey` are understood in the URL. Without `sslmode` a
server elsewhere is checked as by `verify-full` when authorities are named for it.
"""

import ssl
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from core.access import SYSTEM, Access, Files
from core.errors import SetupError

FULL: Final = "verify-full"
_CHECKED: Final = ("verify-ca", FULL)
_MODES: Final = ("disable", "allow", "prefer", "require", *_CHECKED)
_SSL: Final = ("sslmode", "ssl", "sslrootcert", "sslcert", "sslkey")


class Tls(NamedTuple):
    """What the URL and the settings say of TLS; no mode is the drivers' own way."""

    mode: str | None
    files: Files


def parsed(url: str | None, variable: str = "UPNEXT_POSTGRES_URL") -> URL:
    """The parts of the URL that `variable` has.

    Raises:
        SetupError: there is no URL, or it is none of PostgreSQL, or asks for no known `sslmode`.
    """
    if url is None:
        raise SetupError(f"{variable} is not set: set it, or start with `upnext up`.")
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        # From none of these: they quote a part of the URL, which may be one of the password.
        raise SetupError(
            f"{variable} cannot be read: write postgresql://user:password@host/database."
        ) from None
    if parts.get_backend_name() not in {"postgresql", "postgres"}:
        raise SetupError(f"{variable} must begin with postgresql://.")
    mode = _mode(parts)
    if mode is not None and mode not in _MODES:
        raise SetupError(f"{variable} cannot be used: sslmode is one of {', '.join(_MODES)}.")
    return parts


def tls(parts: URL, access: Access) -> Tls:
    """What is asked of TLS by the URL, else by the settings."""
    query = {name: _one(parts, name) for name in _SSL}
    mode = _mode(parts)
    named = query["sslrootcert"]
    given = access.tls
    if mode is None and (named or given.ca_file) is not None and _is_elsewhere(parts):
        mode = FULL
    ca_file = given.ca_file if named is None else _path(named)
    certificate = _path(query["sslcert"]) or given.certificate_file
    key = _path(query["sslkey"]) or given.key_file or certificate
    return Tls(mode, Files(ca_file, certificate, key))


def asyncpg_url(parts: URL) -> URL:
    """As SQLAlchemy's asyncpg dialect wants it, without what is said of TLS."""
    query = {name: value for name, value in parts.query.items() if name not in _SSL}
    return parts.set(drivername="postgresql+asyncpg", query=query)


def for_asyncpg(parts: URL, access: Access) -> dict[str, Any]:
    """Arguments of a connection that is being made now. Raises `OSError`."""
    wanted = tls(parts, access)
    found: dict[str, Any] = {}
    if wanted.mode in _CHECKED or (wanted.mode == "require" and wanted.files.ca_file):
        found["ssl"] = wanted.files.context(any_name=wanted.mode != FULL)
    elif wanted.mode is not None:
        found["ssl"] = wanted.mode
    if access.password is not None:
        found["password"] = access.password.value()
    return found


def reach(engine: AsyncEngine, parts: URL, access: Access) -> None:
    """Have each new connection of the engine look at files as they are then."""

    def add(_: object, __: object, ___: object, arguments: dict[str, Any]) -> None:
        arguments.update(for_asyncpg(parts, access))

    event.listen(engine.sync_engine, "do_connect", add)


def libpq_url(parts: URL) -> str:
    """As libpq wants it, without what is said of TLS; a password in the URL stays there."""
    return asyncpg_url(parts).set(drivername="postgresql").render_as_string(hide_password=False)


def for_libpq(parts: URL, access: Access) -> dict[str, Any]:
    """The same for psycopg: keywords of libpq."""
    mode, (ca_file, certificate, key) = tls(parts, access)
    trusted = None if ca_file is None else str(ca_file)
    if trusted is None and mode in _CHECKED:  # what libpq was built with is not this system's
        trusted = ssl.get_default_verify_paths().cafile or SYSTEM
    found = {
        "sslmode": mode,
        "sslrootcert": trusted,
        "sslcert": certificate,
        "sslkey": key,
        "password": access.password.value() if access.password is not None else None,
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _mode(parts: URL) -> str | None:
    return _one(parts, "sslmode") or _one(parts, "ssl")


def _one(parts: URL, name: str) -> str | None:
    value = parts.query.get(name)
    return value if value is None or isinstance(value, str) else value[-1]


def _path(named: str | None) -> Path | None:
    return None if named is None or named == SYSTEM else Path(named)


def _is_elsewhere(parts: URL) -> bool:
    """Whether it is reached by TCP: a socket in the file system needs no TLS."""
    host = _one(parts, "host") or parts.host or ""
    return bool(host) and not host.startswith("/")
