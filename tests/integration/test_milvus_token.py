"""The token of Milvus changes under a process that searches."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import numpy as np
import pytest
from pymilvus import AsyncMilvusClient

from core.access import access
from core.errors import Unavailable
from core.settings import load
from storage.milvus import MilvusSearch

pytestmark = pytest.mark.integration


class Guard(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped in the driver
    """Answers every call with nothing, which is a success, if it brings the token."""

    def __init__(self) -> None:
        self.wanted = "root:one"
        self.refused = 0

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        """See the base class."""
        given = dict(call.invocation_metadata).get("authorization")
        right = given == base64.b64encode(self.wanted.encode()).decode()

        async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if not right:
                self.refused += 1
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def guard() -> AsyncIterator[tuple[Guard, int]]:
    guard, server = Guard(), grpc.aio.server()
    server.add_generic_rpc_handlers((guard,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield guard, port
    await server.stop(None)


def made() -> Any:
    """Clients of the driver that are made meanwhile."""
    return patch("storage.milvus.AsyncMilvusClient", wraps=AsyncMilvusClient)


async def test_no_search_fails_when_it_changes(guard: tuple[Guard, int], tmp_path: Path) -> None:
    server, port = guard
    file = tmp_path / "token"
    file.write_text("root:one\n")
    settings = load({"milvus_uri": f"http://127.0.0.1:{port}", "milvus_token_file": str(file)})
    search = MilvusSearch(
        settings.milvus_uri or "", access(settings, "milvus"), timeout_seconds=5.0
    )
    one = np.zeros((1, 4), np.float32)
    try:
        await search.search("videos", one, 3)
        assert server.refused == 0
        server.wanted = "root:two"
        with pytest.raises(Unavailable):
            await search.search("videos", one, 3)
        file.write_text("root:two\n")
        with made() as clients:
            await asyncio.gather(*(search.search("videos", one, 3) for _ in range(5)))
        assert clients.call_count == 1  # what failed together is renewed once
        server.wanted = "root:three"
        file.write_text("root:three\n")
        refused = server.refused
        await search.ping()
        assert server.refused == refused
    finally:
        await search.close()
