"""Reaching Kafka: what a URL says, and the driver's errors as ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol
from urllib.parse import unquote

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    BrokerResponseError,
    ConsumerStoppedError,
    IllegalOperation,
    KafkaConnectionError,
    KafkaError,
)

from core.access import PLAIN, Access
from core.errors import SetupError, Unavailable
from core.tls import trouble
from storage.bus.contract import CLOSE_SECONDS, CONNECT_SECONDS, EVENTS
from storage.handshake import found_wrong

_FORM = (
    "UPNEXT_BUS_URL cannot be used: for Kafka it is kafka://host:9092[,host2:9092], or "
    "kafka://user:password@host:9092 (without the password where UPNEXT_BUS_PASSWORD_FILE has it); "
    "kafkas:// is the same over TLS."
)
_PORT = 9092


class Client(Protocol):
    """A producer or consumer of the driver."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """End it; may wait for a broker that is gone."""
        ...


def options_of(url: str, how: Access = PLAIN) -> dict[str, Any]:
    """What every client of the driver is told of the brokers: once for each, since files change.

    Raises:
        SetupError: the URL is not one of Kafka.
        OSError: a file of TLS cannot be used.
    """
    scheme, _, rest = url.partition("://")
    credentials, at, hosts = rest.rpartition("@")
    user, _, in_url = credentials.partition(":")
    password = unquote(in_url) if how.password is None else how.password.value()
    named = bool(user and password) if at else how.password is None
    if scheme not in {"kafka", "kafkas"} or not named:
        raise SetupError(_FORM)
    options: dict[str, Any] = {
        "bootstrap_servers": [_server(host) for host in hosts.rstrip("/").split(",")],
        "client_id": "upnext",
    }
    if scheme == "kafkas":
        options["ssl_context"] = how.tls.context()
    if user:
        options |= {
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": unquote(user),
            "sasl_plain_password": password,
        }
    transport = "SSL" if scheme == "kafkas" else "PLAINTEXT"
    options["security_protocol"] = f"SASL_{transport}" if user else transport
    return options


def _server(host: str) -> str:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):  # no port, or an IPv6 address without one
        name, port = host, str(_PORT)
    if not name or not port.isdigit() or set(name) & set("/?# "):
        raise SetupError(_FORM)
    return f"{name}:{port}"


@contextmanager
def mapped() -> Iterator[None]:
    """Errors of the driver as ours.

    Raises:
        Unavailable: the bus is away, refuses, or gave no answer in time.
    """
    try:
        yield
    except (KafkaError, ConsumerStoppedError, IllegalOperation, OSError) as error:
        raise Unavailable("bus", _said(error)) from error


@asynccontextmanager
async def linked(end: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """As `mapped`; whatever the connection has failed at, `end` ends it: the next call connects."""
    try:
        with mapped():
            yield
    except Unavailable as error:
        if error.__cause__ is not None:  # a failure of the connection, not one of ours
            await end()
        raise


def _said(error: Exception) -> str:
    """What a person has to know to mend it; empty when silence says it all."""
    if said := trouble(error):
        return f"the bus over TLS: {said}"
    if isinstance(error, BrokerResponseError) and not error.retriable:
        return f"the bus refuses: {error.description}"
    return ""


async def _wrong_with_tls(options: dict[str, Any]) -> str:
    """What the driver does not tell of the first broker; empty where there is nothing to tell."""
    if "ssl_context" not in options:
        return ""
    host, _, port = options["bootstrap_servers"][0].rpartition(":")
    return await found_wrong(host.strip("[]"), int(port), options["ssl_context"])


async def started(client: Client, seconds: float) -> None:
    """Start a producer or consumer, or end it where that fails or takes longer."""
    try:
        async with asyncio.timeout(seconds):
            await client.start()
    except BaseException:
        await stopped(client)
        raise


async def stopped(client: Client) -> None:
    """End a producer or consumer, though its broker may be gone."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.stop()
    except (TimeoutError, KafkaError):
        return  # it is given up either way, and what it had not sent was never acknowledged


class Registry:
    """What the brokers know: topics, their partitions, how many brokers there are.

    Always asked for everything: to ask for one topic by name would make it, on most brokers. An
    answer is waited for `seconds`.
    """

    def __init__(self, options: Callable[[], dict[str, Any]], seconds: float) -> None:
        self._options = options
        self._seconds = seconds
        self._admin: AIOKafkaAdminClient | None = None
        self._starting = asyncio.Lock()

    async def admin(self) -> AIOKafkaAdminClient:
        """The driver's client for this, started: one, however many ask for it at once."""
        async with self._starting:
            if self._admin is None:
                self._admin = await self._start()
            return self._admin

    async def _start(self) -> AIOKafkaAdminClient:
        options = self._options()
        made = AIOKafkaAdminClient(**options, request_timeout_ms=int(self._seconds * 1000))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await made.start()
        except KafkaConnectionError as error:
            await made.close()
            if (said := await _wrong_with_tls(options)) == "":
                raise
            raise Unavailable("bus", f"the bus over TLS: {said}") from error
        except BaseException:
            await made.close()
            raise
        return made

    async def partitions(self) -> dict[str, list[int]]:
        """Each topic with the numbers of its partitions; a sign of life too."""
        admin = await self.admin()
        async with asyncio.timeout(self._seconds):
            topics = await admin.describe_topics()
        return {
            topic["topic"]: [part["partition"] for part in topic["partitions"]] for topic in topics
        }

    async def consumed(self) -> list[tuple[str, int]]:
        """Topic and number of each partition that events come from.

        Raises:
            Unavailable: a topic was never made.
        """
        known = await self.partitions()
        for topic in EVENTS:
            if topic not in known:
                raise Unavailable("bus", f"the bus has no topic {topic}: run `upnext bus setup`")
        return [(topic, number) for topic in EVENTS for number in known[topic]]

    async def brokers(self) -> int:
        """How many there are."""
        admin = await self.admin()
        async with asyncio.timeout(self._seconds):
            return len((await admin.describe_cluster())["brokers"])

    async def close(self) -> None:
        """End the connection."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()
