"""Asks each server for its version: a sign of life that also says what one is talking to."""

import asyncio

import grpc
from pymilvus import MilvusException
from sqlalchemy import text

from core.errors import Unavailable
from core.settings import Settings
from storage import bus
from storage.artifacts import artifact_store
from storage.milvus import blocking_client, token_of
from storage.postgres.engine import pool, transaction
from storage.redis.client import connect as connect_redis
from storage.redis.client import mapped

SECONDS = 5.0
ASK_POSTGRES = text("SHOW server_version")


async def postgres_version(settings: Settings) -> str:
    """Such as `PostgreSQL 18.1`. Raises `Unavailable`, `SetupError`."""
    async with pool(settings) as engine, transaction(engine) as connection:
        return f"PostgreSQL {(await connection.execute(ASK_POSTGRES)).scalar_one()}"


async def redis_version(settings: Settings) -> str:
    """Such as `Valkey 9.1.2` or `Redis 8.2.0`. Raises `Unavailable`, `SetupError`."""
    client = connect_redis(settings.redis_url or "", SECONDS)
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
    token = token_of(settings)

    def ask() -> str:
        client = blocking_client(settings.milvus_uri or "", token=token, timeout_seconds=SECONDS)
        try:
            return f"Milvus {client.get_server_version()}"
        finally:
            client.close()

    try:
        async with asyncio.timeout(2 * SECONDS):
            return await asyncio.to_thread(ask)
    except (MilvusException, grpc.RpcError, TimeoutError) as error:
        raise Unavailable("milvus") from error


async def bus_version(settings: Settings) -> str:
    """Such as `NATS 2.15.1 with JetStream`. Raises `Unavailable`, `SetupError`."""
    connection = bus.connect(settings.bus_url or "")
    try:
        return await connection.version()
    finally:
        await connection.close()


async def artifacts_version(settings: Settings) -> str:
    """The store's URL, when it answers. Raises `Unavailable`, `SetupError`."""
    store = artifact_store(settings.artifacts_url or "")
    await asyncio.to_thread(store.probe)
    return store.url
