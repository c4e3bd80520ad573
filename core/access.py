"""What it takes to reach a dependency beside its URL: a password from a file, and TLS.

All of it is looked at again for each new connection, so what is renewed needs no restart.
"""

import ssl
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import structlog

from core.errors import SetupError
from core.secrets import Given, Secret, secret_file
from core.secrets import check as check_secrets
from core.settings import Settings

Dependency = Literal["postgres", "postgres_read", "redis", "milvus", "bus", "artifacts", "jwt"]

SYSTEM: Final = "system"
"""In place of a file of authorities: those that the system trusts."""

_log = structlog.get_logger(__name__)

_SECRETS: Final[dict[Dependency, str]] = {
    "postgres": "postgres_password_file",
    "postgres_read": "postgres_read_password_file",
    "redis": "redis_password_file",
    "milvus": "milvus_token_file",
    "bus": "bus_password_file",
}


class Files(NamedTuple):
    """PEM files of TLS: the authorities to trust (None: the system's), our certificate, its key."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def context(self, *, any_name: bool = False) -> ssl.SSLContext:
        """TLS 1.2 or newer; certificates are checked, their names too unless `any_name`.

        The same one until a file has changed, and while what it has become cannot be used.

        Raises:
            OSError: a file could never be read, or is not what it should be (`ssl.SSLError`).
        """
        last = _MADE.get((self, any_name))
        try:
            state = self.state()
            if last is not None and last.state == state:
                return last.context
            made = self._made(any_name=any_name)
        except (OSError, ValueError) as error:
            if last is None:
                raise
            if last.usable:
                _log.warning("Certificates stay as they were.", files=str(self), reason=str(error))
            _MADE[self, any_name] = last._replace(usable=False)
            return last.context
        _MADE[self, any_name] = _Made(made, state)
        return made

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Another value whenever a file is another. Raises `OSError`."""
        found = [file.stat() for file in self if file is not None]
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _made(self, *, any_name: bool) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=self.ca_file)
        made.check_hostname = not any_name
        if self.certificate_file is not None:
            made.load_cert_chain(self.certificate_file, self.key_file, password=_no_password)
        return made


class _Made(NamedTuple):
    context: ssl.SSLContext
    state: tuple[tuple[int, int, int], ...]
    usable: bool = True


_MADE: dict[tuple[Files, bool], _Made] = {}
"""The last context of each set of files: making one reads all that the system trusts."""


class Access(NamedTuple):
    """How to reach one dependency. By itself: no password, and what the system trusts."""

    password: Secret | None = None
    tls: Files = Files()


PLAIN: Final = Access()


def access(settings: Settings, dependency: Dependency) -> Access:
    """How `settings` reach a dependency.

    Raises:
        SetupError: a file cannot be used, or a password is given twice.
    """
    field = _SECRETS.get(dependency)
    own = f"{dependency.removesuffix('_read')}_ca_file"
    ca_field = "ca_file" if getattr(settings, own) is None else own
    ca_file: Path | None = getattr(settings, ca_field)
    files = Files(
        authorities(ca_file),
        settings.client_certificate_file,
        settings.client_key_file,
    )
    _check(files, f"UPNEXT_{ca_field.upper()}")
    password: Secret | None = secret_file(settings, field) if field else None
    if dependency == "milvus" and password is None and settings.milvus_token is not None:
        password = Given(settings.milvus_token)
    return Access(password, files)


def check(settings: Settings) -> None:
    """See that every dependency can be gone to: secrets given once, all files usable now.

    Raises:
        SetupError: something is not.
    """
    check_secrets(settings)
    for dependency in get_args(Dependency):
        access(settings, dependency)


def authorities(named: Path | None) -> Path | None:
    """The file of authorities that a setting names; None: those of the system."""
    return None if named is None or str(named) == SYSTEM else named


def _check(files: Files, ca_variable: str) -> None:
    if files.key_file is not None and files.certificate_file is None:
        raise SetupError(
            "UPNEXT_CLIENT_KEY_FILE is set without a certificate: set "
            "UPNEXT_CLIENT_CERTIFICATE_FILE too."
        )
    if files.ca_file is not None:
        _check_authorities(files.ca_file, ca_variable)
    if files.certificate_file is not None:
        check_certificate(
            files.certificate_file,
            files.key_file,
            ("UPNEXT_CLIENT_CERTIFICATE_FILE", "UPNEXT_CLIENT_KEY_FILE"),
        )


def _check_authorities(path: Path, variable: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SetupError(
            f"{variable} names {path}, which cannot be used: {_reason(error)}. It is a file of "
            f"certificates in PEM form, or `{SYSTEM}`."
        ) from None


def check_certificate(path: Path, key: Path | None, variables: tuple[str, str]) -> None:
    """See that a certificate and its key can be used; the key may be in the same file.

    Raises:
        SetupError: they cannot; the message names the two variables.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SetupError(
            f"{variables[0]} ({path}) and {variables[1]} ({key or 'not set'}) cannot be used: "
            f"{_reason(error)}. They are a certificate and its key in PEM form, without a password."
        ) from None


def _no_password() -> str:
    """A key under a password is refused; OpenSSL would ask whoever is at the terminal."""
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate in it").lower().replace("_", " ")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
