"""Milvus Lite as a server process, so that several workers share it."""

import importlib.util
import signal
import sys
from pathlib import Path

import grpc

from core.errors import SetupError
from storage.embedded.server import EmbeddedServer, free_port

LITE_VIDEOS = 20_000  # beyond, a search takes longer than a request should
VERSION_CALL = "/milvus.proto.milvus.MilvusService/GetVersion"


class MilvusLiteServer(EmbeddedServer):
    """The embedded vector index; right up to about 20,000 videos, its searches walk all rows."""

    title = "milvus"
    stops_on = signal.SIGINT  # it does not react to SIGTERM
    ready_seconds = 60.0  # indexes are rebuilt at its start when it was killed

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._port = free_port()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> list[str]:
        """On loopback: it has neither users nor TLS."""
        if importlib.util.find_spec("milvus_lite") is None:
            raise SetupError(
                "The embedded Milvus is not installed: pip install 'upnext[embedded]', "
                "or set UPNEXT_MILVUS_URI."
            )
        program = [sys.executable, "-m", "milvus_lite", "server"]
        where = ["--host", "127.0.0.1", "--port", str(self._port)]
        return [*program, "--data-dir", str(self.data), *where]

    def answers(self) -> bool:
        """Whether it tells its version."""
        with grpc.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            try:
                channel.unary_unary(VERSION_CALL)(b"", timeout=1.0)
            except grpc.RpcError:
                return False
        return True
