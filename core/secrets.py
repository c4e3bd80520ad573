"""Secrets that stand in files, which may change while the process runs.

Their content is in no representation and in no error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import structlog
from pydantic import SecretStr

from core.errors import SetupError
from core.settings import Settings

LARGEST_BYTES = 65_536
JWT_BYTES = 32  # RFC 7518 3.2: a key of the hash's size or larger

_log = structlog.get_logger(__name__)

FILES = {
    "postgres_password_file": "postgres_url",
    "postgres_read_password_file": "postgres_read_url",
    "redis_password_file": "redis_url",
    "bus_password_file": "bus_url",
    "milvus_token_file": "milvus_token",
    "jwt_secret_file": "jwt_secret",
    "log_user_key_file": "log_user_key",
}
"""Settings that name the file of a secret, and what else may have it."""


class Secret(Protocol):
    """What may be another each time that it is asked for."""

    def value(self) -> str:
        """The secret as it is now."""
        ...


class Given:
    """A secret of the environment, which stays what it is."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    def value(self) -> str:
        """The secret."""
        return self._secret.get_secret_value()


class SecretFile:
    """One secret, read again whenever it is asked for."""

    def __init__(self, path: Path, variable: str) -> None:
        """Read it a first time. Raises `SetupError`: there is no secret in it, or no file.

        `variable` is the environment variable that names the file.
        """
        self._path = path
        self._variable = variable
        self._readable = True
        self._value = read(path, variable)

    def value(self) -> str:
        """What is in the file now; what was there last, while it cannot be read."""
        try:
            self._value = read(self._path, self._variable)
        except SetupError as error:
            if self._readable:
                _log.warning("A secret stays as it was.", reason=str(error))
            self._readable = False
        else:
            self._readable = True
        return self._value


def read(path: Path, variable: str) -> str:
    """The text of the file without the newline at its end.

    Raises:
        SetupError: it cannot be read, is empty, or is no text; the message names `variable`.
    """
    with _explained(path, variable):
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise _Unusable(f"it has more than {LARGEST_BYTES} bytes, which no secret has")
        text = content.decode().removesuffix("\n").removesuffix("\r")
        if not text.strip():
            raise _Unusable("it is empty: write the secret to it")
    return text


class _Unusable(ValueError):
    """The message says why a file is not one of a secret."""


@contextmanager
def _explained(path: Path, variable: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror}: correct the path, or let this user read it"
    except UnicodeDecodeError:
        reason = "it is not text in UTF-8"
    except _Unusable as error:
        reason = str(error)
    else:
        return
    # From none of these: an error of decoding holds what it could not decode.
    raise SetupError(f"{variable} names {path}, which cannot be used: {reason}.") from None


def secret_file(settings: Settings, field: str) -> SecretFile | None:
    """The file that a setting such as `redis_password_file` names, if it does.

    Raises:
        SetupError: there is no secret in it, or the secret is given a second time.
    """
    path: Path | None = getattr(settings, field)
    if path is None:
        return None
    _check_once(settings, field)
    return SecretFile(path, f"UPNEXT_{field.upper()}")


def jwt_secrets(settings: Settings) -> tuple[str, ...]:
    """The secrets of tokens: the first signs, all are trusted; none when none was given.

    Raises:
        SetupError: one is too short, or given twice.
    """
    _check_once(settings, "jwt_secret_file")
    if settings.jwt_secret_file is not None:
        return read_jwt_secrets(settings.jwt_secret_file)
    if settings.jwt_secret is None:
        return ()
    value = settings.jwt_secret.get_secret_value()
    if len(value.encode()) < JWT_BYTES:
        raise SetupError(f"UPNEXT_JWT_SECRET must have {JWT_BYTES} bytes or more.")
    return (value,)


def read_jwt_secrets(path: Path) -> tuple[str, ...]:
    """The secrets in a file, one a line; empty lines count for nothing. Raises `SetupError`."""
    variable = "UPNEXT_JWT_SECRET_FILE"
    lines = [line.strip() for line in read(path, variable).splitlines()]
    if any(0 < len(line.encode()) < JWT_BYTES for line in lines):
        raise SetupError(
            f"{variable} names {path}, in which a line has less than {JWT_BYTES} bytes: "
            "`openssl rand -hex 32` makes a secret."
        )
    return tuple(line for line in lines if line)


def check(settings: Settings) -> None:
    """See that every secret is given once, and that every file of one can be used now.

    Raises:
        SetupError: one is not.
    """
    jwt_secrets(settings)
    for field in FILES:
        secret_file(settings, field)


def _check_once(settings: Settings, field: str) -> None:
    other = FILES[field]
    value = getattr(settings, other)
    if getattr(settings, field) is None or value is None:
        return
    if not other.endswith("_url"):
        raise SetupError(
            f"UPNEXT_{other.upper()} and UPNEXT_{field.upper()} are both set: unset one of them."
        )
    if _has_password(value):
        raise SetupError(
            f"UPNEXT_{other.upper()} has a password and UPNEXT_{field.upper()} is set: "
            "take the password out of the URL, or unset the other."
        )


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return parts.password is not None or "password" in parse_qs(parts.query)
