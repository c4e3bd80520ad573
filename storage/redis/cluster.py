"""A Redis Cluster as one client: each command goes to the node that has its key.

Every node has a client and a breaker of its own, the same as a server that stands alone, so that
those who need a node that is away do without at once, and the others do not notice. Who has which
slot is asked of any node: at first, when a node says that a slot has moved, and once a second while
one does not answer, for another may have taken its place.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from redis.asyncio.client import Pipeline, PubSub
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError

from core.errors import SetupError, Unavailable
from storage.redis.client import Command, GuardedRedis

REDIRECTIONS: Final = 3
"""A slot that is moved while it is asked for is followed so often."""
LOOK_SECONDS: Final = 1.0
"""Between two questions who has which slot, while a node is away."""

Connect = Callable[[str], GuardedRedis]
Answer = Any
_SCRIPTS: Final = {"EVAL", "EVALSHA"}
_OF_ALL: Final = {"SCRIPT LOAD", "SCRIPT FLUSH"}
_OF_ANY: Final = {"INFO", "PING", "PUBLISH"}
_log = structlog.get_logger(__name__)


def addresses(url: str) -> list[str]:
    """URLs of the nodes that a URL `redis+cluster://user:password@host:port,host:port` names.

    Raises:
        SetupError: it names none, or a database: a cluster has one only.
    """
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    names = [name for name in hosts.split(",") if name]
    if not names or parts.path.strip("/0"):
        raise SetupError(
            "UPNEXT_REDIS_URL cannot be used: of a cluster it is "
            "redis+cluster://user:password@host:6379,host:6379, without a database."
        )
    scheme, query = parts.scheme.removesuffix("+cluster"), f"?{parts.query}" if parts.query else ""
    return [f"{scheme}://{login}{at}{name}{query}" for name in names]


class ClusterRedis(GuardedRedis):
    """Commands of one key, or of keys in one slot; `together` for those of several."""

    one_server = False

    def __init__(self, urls: Sequence[str], connect: Connect) -> None:
        """Make one that connects when first used.

        Args:
            urls: of some nodes, any of which tells of the others.
            connect: makes a client of a node's URL.
        """
        self._seeds = {_name(url): connect(url) for url in urls}
        first = next(iter(self._seeds.values()))
        super().__init__(connection_pool=first.connection_pool)
        self.longest_seconds = first.longest_seconds
        self._connect = connect
        self._like = urls[0]
        self._nodes: dict[str, GuardedRedis] = dict(self._seeds)
        self._owners: list[str | None] = []
        self._looking: asyncio.Task[None] | None = None
        self._looked = float("-inf")
        self._closing: set[asyncio.Task[None]] = set()

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """As the driver's, by the node that has the key. Raises `Unavailable`."""
        async with self._in_time():
            if args[0] in _OF_ALL:
                return await self._by_all(args)
            if args[0] in _OF_ANY:
                node = await self._any()
                return await node.execute_command(*args, **options)
            return await self._redirected(args, options)

    async def together(self, commands: Sequence[Command]) -> list[Answer]:
        """Each command's answer or error, in one round trip to each node; never raises."""
        answers: list[Answer] = [None] * len(commands)
        by_node: dict[GuardedRedis, list[int]] = {}
        for at, command in enumerate(commands):
            try:
                async with self._in_time():
                    node = await self._owner(_slot_of(self, command))
                by_node.setdefault(node, []).append(at)
            except Unavailable as error:
                answers[at] = error
        groups = [[commands[at] for at in group] for group in by_node.values()]
        asked = (node.together(group) for node, group in zip(by_node, groups, strict=True))
        for group, found in zip(by_node.values(), await asyncio.gather(*asked), strict=True):
            for at, answer in zip(group, found, strict=True):
                answers[at] = await self._settled(commands[at], answer)
        return answers

    async def at(self, key: str) -> GuardedRedis:
        """The node that has the key now. Raises `Unavailable`."""
        async with self._in_time():
            return await self._owner(key_slot(key.encode()))

    async def look(self) -> None:
        """Ask every node that has slots for a sign of life. Raises `Unavailable`."""
        await asyncio.gather(*(node.look() for node in await self._primaries()))

    async def scan_iter(  # type: ignore[override]  # typed as if it were not asynchronous
        self,
        *args: Any,  # noqa: ANN401 - as the driver's
        **options: Any,  # noqa: ANN401
    ) -> AsyncIterator[Any]:
        """As the driver's, over all nodes. Raises `Unavailable`."""
        for node in await self._primaries():
            async for key in node.scan_iter(*args, **options):
                yield key

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - the driver's
        """There is none: `together` is for commands to several nodes."""
        raise NotImplementedError("use `together`")

    def pubsub(self, **_: Any) -> PubSub:  # noqa: ANN401 - the driver's
        """There is none: subscribe at the node that `at` gives."""
        raise NotImplementedError("use `at`")

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: ARG002, FBT001 - the driver's
        """As the driver's, of all nodes."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        for task in list(self._closing):
            await task
        for node in {*self._nodes.values(), *self._seeds.values()}:
            await node.aclose()

    async def _by_all(self, command: Command) -> Answer:
        """The answer of one; those who are away are left out, unless all are."""
        asked = (node.together([command]) for node in await self._primaries())
        answers = [answer for [answer] in await asyncio.gather(*asked)]
        answers.sort(key=lambda answer: isinstance(answer, Exception))
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    async def _redirected(self, command: Command, options: Mapping[str, Any]) -> Answer:
        """The answer of the node that has the slot, which may be another than was thought."""
        slot = _slot_of(self, command)
        for _ in range(REDIRECTIONS):
            node = await self._owner(slot)
            try:
                return await node.execute_command(*command, **options)
            except MovedError as error:
                self._moved(error)
            except AskError as error:
                return await self._asking(error, command)
            except (ClusterDownError, TryAgainError) as error:
                self._look_soon()
                raise Unavailable("redis", f"The cluster says: {error}") from error
            except Unavailable:
                self._look_soon()
                raise
        raise Unavailable("redis", f"Slot {slot} of the cluster keeps moving")

    async def _settled(self, command: Command, answer: Answer) -> Answer:
        """The answer, asked for again where the slot has moved."""
        if isinstance(answer, Unavailable):
            self._look_soon()
        if not isinstance(answer, MovedError | AskError | ClusterDownError | TryAgainError):
            return answer
        if isinstance(answer, MovedError):
            self._moved(answer)
        try:
            async with self._in_time():
                return await self._redirected(command, {})
        except (Unavailable, RedisError) as error:
            return error

    async def _asking(self, error: AskError, command: Command) -> Answer:
        """The answer of the node that is taking the slot over: it may have the key already."""
        node = self._client(f"{error.host}:{error.port}")
        answer = (await node.together([("ASKING",), command]))[1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _moved(self, error: MovedError) -> None:
        """Follow a slot; what else has moved is asked for in the background."""
        if error.host and self._owners:
            self._owners[error.slot_id] = f"{error.host}:{error.port}"
            self._look_soon()
        else:  # a node that does not know how it is called
            self._owners = []

    async def _owner(self, slot: int) -> GuardedRedis:
        if not self._owners:
            await asyncio.shield(self._look())
        name = self._owners[slot]
        if name is None:
            self._look_soon()
            raise Unavailable("redis", f"No node of the cluster has slot {slot}")
        return self._client(name)

    async def _primaries(self) -> list[GuardedRedis]:
        """The nodes that have slots."""
        if not self._owners:
            await asyncio.shield(self._look())
        return [self._client(name) for name in sorted({one for one in self._owners if one})]

    async def _any(self) -> GuardedRedis:
        found = [node for node in await self._primaries() if not node.breaker.is_open()]
        if not found:
            raise Unavailable("redis", "No node of the cluster answers")
        return found[0]

    def _client(self, name: str) -> GuardedRedis:
        """The client of a node, made when it is first heard of."""
        if name not in self._nodes:
            self._nodes[name] = self._connect(_url_like(self._like, name))
        return self._nodes[name]

    def _look_soon(self) -> None:
        """Ask in the background who has which slot, at most once a second."""
        loop = asyncio.get_running_loop()
        if self._looking is None and loop.time() - self._looked >= LOOK_SECONDS:
            _ = self._look()

    def _look(self) -> asyncio.Task[None]:
        """The one question that is under way."""
        if self._looking is None:
            self._looked = asyncio.get_running_loop().time()
            self._looking = asyncio.create_task(self._ask_around())
            self._looking.add_done_callback(_heard)
        return self._looking

    async def _ask_around(self) -> None:
        """Take the word of the first node that answers. Raises `Unavailable`: none does."""
        try:
            known = [node for node in self._nodes.values() if not node.breaker.is_open()]
            random.shuffle(known)  # not all processes the same
            for node in dict.fromkeys([*known, *self._seeds.values()]):
                with suppress(Unavailable, RedisError):
                    self._take(node, await node.execute_command("CLUSTER", "SLOTS"))
                    return
            raise Unavailable("redis", "No node of the cluster answers")
        finally:
            self._looking = None

    def _take(self, asked: GuardedRedis, ranges: Iterable[Sequence[Any]]) -> None:
        """Take who has which slots, as `asked` says, and let go of nodes that have none."""
        owners: list[str | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        own_host = str(asked.connection_pool.connection_kwargs.get("host", ""))
        for first, last, primary, *_ in ranges:
            host = (primary[0] or b"").decode() or own_host  # it may not know its own
            owners[first : last + 1] = [f"{host}:{primary[1]}"] * (last + 1 - first)
        self._owners = owners
        kept = {name for name in owners if name} | self._seeds.keys()
        for name in self._nodes.keys() - kept:
            task = asyncio.create_task(self._nodes.pop(name).aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """The block, if need be with a question who has which slot, in two calls' time."""
        seconds = self.longest_seconds
        try:
            async with asyncio.timeout(None if seconds is None else 2 * seconds):
                yield
        except TimeoutError as error:
            raise Unavailable("redis", "The cluster did not answer in time") from error


def _slot_of(client: GuardedRedis, command: Command) -> int:
    return key_slot(client.get_encoder().encode(_key_of(command)))  # type: ignore[no-untyped-call]


def _key_of(command: Command) -> Any:  # noqa: ANN401 - what the driver takes for a key
    """The first key of a command: the others are in its slot."""
    name = str(command[0]).upper()
    if name in _SCRIPTS:
        return command[3]
    if name == "XREAD":
        return command[command.index(b"STREAMS") + 1]
    return command[1]


def _name(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}"


def _url_like(url: str, name: str) -> str:
    """The URL of another node: reached as this one."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    host, _, port = name.rpartition(":")
    bracketed = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=f"{login}{at}{bracketed}:{port}").geturl()


def _heard(task: asyncio.Task[None]) -> None:
    """What a question in the background ended with is for whoever asks next."""
    if not task.cancelled() and task.exception() is not None:
        _log.debug("Nobody says who has which slot.", reason=str(task.exception()))
