"""The Milvus server of the `milvus` wheel: a whole one, for measurements on this machine only.

It listens on all interfaces and has neither users nor TLS.
"""

import sys
from pathlib import Path

from core.errors import SetupError
from storage.embedded.milvus import MilvusLiteServer
from storage.embedded.server import free_port

PORTS = (
    "etcd", "root-coord", "proxy-internal", "query-coord", "query-node", "index-coord",
    "index-node", "data-coord", "data-node",
)  # fmt: skip


class MilvusServer(MilvusLiteServer):
    """Milvus 2.3.5 standalone with its own etcd."""

    title = "milvus-server"
    ready_seconds = 120.0

    def command(self) -> list[str]:
        """All its ports are free ones."""
        program = Path(sys.executable).with_name("milvus-server")
        if not program.exists():
            raise SetupError("milvus-server is missing: pip install 'upnext[bench]' (x86-64 only).")
        others = [part for name in PORTS for part in (f"--{name}-port", str(free_port()))]
        return [
            str(program), "--data", str(self.data), "--proxy-port", str(self._port), *others,
        ]  # fmt: skip
