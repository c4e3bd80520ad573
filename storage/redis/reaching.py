"""How Redis is reached: what its URL says, TLS by our files, and a password that may change."""

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import SSLConnection
from redis.asyncio.connection import parse_url
from redis.credentials import CredentialProvider

from core.access import Access, Files
from core.errors import SetupError
from core.secrets import Secret

_FORM: Final = (
    "UPNEXT_REDIS_URL cannot be used: it starts with redis://, rediss://, unix://, "
    "redis+cluster:// or rediss+cluster://."
)


class FromFile(CredentialProvider):
    """A user's name and the password that is in the file as a connection is made."""

    def __init__(self, user: str | None, password: Secret) -> None:
        self._user = user
        self._password = password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """See the base class."""
        password = self._password.value()
        return (password,) if self._user is None else (self._user, password)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """See the base class, which would complain without it."""
        return self.get_credentials()


class TlsConnection(SSLConnection):
    """Looks at the files of TLS for each connection; the driver's own keeps what it read first."""

    def __init__(self, *, files: Files, **options: Any) -> None:  # noqa: ANN401 - as the driver's
        super().__init__(**options)
        self._files = files

    def _connection_arguments(self) -> Mapping[str, Any]:
        # Not by way of the base class, which would read the system's authorities once more.
        return {**super(SSLConnection, self)._connection_arguments(), "ssl": self._files.context()}


def options_of(url: str, access: Access) -> dict[str, Any]:
    """What a pool of connections is told of the server.

    Files of TLS that the URL itself names, by the driver's `ssl_...` words, are the driver's own.

    Raises:
        SetupError: the URL is not one of Redis.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        # From none of these: they quote a part of the URL, which may be one of the password.
        raise SetupError(_FORM) from None
    if access.password is not None:
        user = options.pop("username", None)
        options["credential_provider"] = FromFile(user, access.password)
    by_url = any(name.startswith("ssl_") for name in options)
    if options.get("connection_class") is SSLConnection and not by_url:
        options |= {"connection_class": TlsConnection, "files": access.tls}
    return options
