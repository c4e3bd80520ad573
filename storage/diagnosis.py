"""Asks each server for its version: a sign of life that also says what one is talking to."""

import asyncio
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusException
from sqlalchemy import text

from core.access import access
from core.errors import Unavailable
from core.settings import Settings, given
from storage import bus
from storage.artifacts import artifact_store
from storage.handshake import found_wrong
from storage.milvus import blocking_client
from storage.postgres.engine import pool, transaction
from storage.postgres.read_replica import bytes_behind
from storage.redis.client import client_of, mapped

SECONDS = 5.0
HTTPS = 443
ASK_POSTGRES = text("SHOW server_version")


async def postgres_version(settings: Settings) -> str:
    """Such as `PostgreSQL 18.1`. Raises `Unavailable`, `SetupError`."""
    async with pool(settings) as engine, transaction(engine) as connection:
        return f"PostgreSQL {(await connection.execute(ASK_POSTGRES)).scalar_one()}"


async def replica_distance(settings: Settings) -> str:
    """How far behind the read replica is, in words. Raises `Unavailable`, `SetupError`."""
    behind = await bytes_behind(settings)
    if behind is None:
        return "no standby: how old what it says is cannot be told"
    return f"a standby, {behind / 1e6:,.1f} MB behind"


async def redis_version(settings: Settings) -> str:
    """Such as `Valkey 9.1.2` or `Redis 8.2.0`. Raises `Unavailable`, `SetupError`."""
    client = client_of(settings, SECONDS)
    try:
        with mapped():
            facts = await client.info("server")
    finally:
        await client.aclose()
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts['redis_version']}"


async def milvus_version(settings: Settings) -> str:
    """Such as `Milvus 2.6.16`. Raises `Unavailable`."""
    uri, how = given(settings, "milvus_uri"), access(settings, "milvus")

    def ask() -> str:
        client = blocking_client(uri, how, timeout_seconds=SECONDS)
        try:
            return f"Milvus {client.get_server_version()}"
        finally:
            client.close()

    try:
        async with asyncio.timeout(2 * SECONDS):
            return await asyncio.to_thread(ask)
    except (MilvusException, grpc.RpcError, TimeoutError) as error:
        parts = urlsplit(uri)
        said = ""
        if parts.scheme == "https":
            said = await found_wrong(parts.hostname or "", parts.port or HTTPS, how.tls.context())
        raise Unavailable("milvus", f"Milvus over TLS: {said}" if said else "") from error


async def bus_version(settings: Settings) -> str:
    """Such as `NATS 2.15.1 with JetStream`. Raises `Unavailable`, `SetupError`."""
    connection = bus.bus_of(settings)
    try:
        return await connection.version()
    finally:
        await connection.close()


async def artifacts_version(settings: Settings) -> str:
    """The store's URL, when it answers. Raises `Unavailable`, `SetupError`."""
    store = artifact_store(settings)
    await asyncio.to_thread(store.probe)
    return store.url
