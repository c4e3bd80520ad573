"""The Milvus server of the `milvus` wheel: a whole one, for measurements on this machine only.

It listens on all interfaces and has neither users nor TLS. Two of its ports are fixed, so there is
one at a time on a machine.
"""

import socket
import sys
from pathlib import Path

from core.errors import SetupError
from storage.embedded.milvus import MilvusLiteServer
from storage.embedded.server import free_port

PORTS = (
    "etcd", "root-coord", "proxy-internal", "query-coord", "query-node", "index-coord",
    "index-node", "data-coord", "data-node",
)  # fmt: skip

FIXED_PORTS = 2380, 9091  # of its etcd and of its metrics, whatever else it is told


class MilvusServer(MilvusLiteServer):
    """Milvus 2.3.5 standalone with its own etcd."""

    title = "milvus-server"
    ready_seconds = 120.0

    def command(self) -> list[str]:
        """All its ports are free ones."""
        program = Path(sys.executable).with_name("milvus-server")
        if not program.exists():
            raise SetupError("milvus-server is missing: pip install 'upnext[bench]' (x86-64 only).")
        for port in FIXED_PORTS:
            _check_free(port)
        others = [part for name in PORTS for part in (f"--{name}-port", str(free_port()))]
        return [
            str(program), "--data", str(self.data), "--proxy-port", str(self._port), *others,
        ]  # fmt: skip


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(
                f"Port {port} is taken, which Milvus needs: another Milvus server runs here."
            ) from error
