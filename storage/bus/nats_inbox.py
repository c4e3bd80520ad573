"""Where the deliveries of one connection to NATS arrive."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo

from core.errors import Unavailable
from core.messages import Message
from storage.bus.calls import carried
from storage.bus.contract import CONSUMER, EVENTS_STREAM

MOST_BYTES: Final = 64 * 2**20
"""Of one answer, so that a batch of large messages does not fill the memory; the largest message
that a NATS server can be told to take."""

_NEXT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{CONSUMER}"
_NOBODY: Final = "503"
_NOTHING: Final = ("404", "408")
_LONG_REPLY: Final = 11  # with a domain and an account's hash before the stream's name


async def consumer_of(client: Client, seconds: float) -> ConsumerInfo:
    """The durable consumer as it is now. Raises `Unavailable` when it was never made."""
    try:
        manager = client.jsm(timeout=seconds)
        info: ConsumerInfo = await manager.consumer_info(EVENTS_STREAM, CONSUMER)
    except nats.js.errors.NotFoundError as error:
        raise _missing() from error
    return info


class Inbox:
    """Asks for deliveries and collects them in `arrived`; an answer is waited for `seconds`."""

    def __init__(self, client: Client, seconds: float) -> None:
        self.client = client
        self._seconds = seconds
        self.arrived: list[Message] = []
        self._address = client.new_inbox()
        self._request = 0
        self._wanted = 0
        self._status = ("", "")
        self._settled = asyncio.Event()

    async def open(self) -> None:
        """Begin to listen."""
        await self.client.subscribe(
            f"{self._address}.*", cb=self._receive, pending_msgs_limit=0, pending_bytes_limit=0
        )

    def end(self) -> None:
        """The connection is gone: whoever waits hears of it."""
        self._settled.set()

    def take(self, most: int) -> list[Message]:
        """At most `most` of what has arrived, the oldest."""
        taken, self.arrived = self.arrived[:most], self.arrived[most:]
        return taken

    async def ask(self, most: int, *, seconds: float = 0) -> None:
        """Collect what is there, at most `most` messages, waiting so long for a first one.

        Raises:
            Unavailable: the bus has no such consumer, or refuses.
            nats.errors.Error, TimeoutError: the connection is lost or has gone silent.
        """
        self._request += 1
        self._wanted = len(self.arrived) + most
        self._settled.clear()
        waiting = {"expires": int(seconds * 1e9)} if seconds else {"no_wait": True}
        request = {"batch": most, "max_bytes": MOST_BYTES, **waiting}
        await self.client.publish(
            _NEXT, msgspec.json.encode(request), f"{self._address}.{self._request}"
        )
        await self._until_settled(seconds)
        if not self.arrived:
            self._judge(waited=bool(seconds))

    async def _until_settled(self, seconds: float) -> None:
        """Until all is there or the server says that it was all; silence is an error."""
        while not self._settled.is_set():
            before = len(self.arrived)
            try:
                async with asyncio.timeout(seconds + self._seconds):
                    await self._settled.wait()
            except TimeoutError:
                if len(self.arrived) == before:
                    raise
        if not self.client.is_connected:
            raise nats.errors.ConnectionClosedError

    def _judge(self, *, waited: bool) -> None:
        code, reason = self._status
        if code == _NOBODY:
            raise _missing()
        # Too many in work, the server going down: when asked to wait, it says so once more.
        if waited and code not in _NOTHING:
            raise Unavailable("bus", f"the bus gives no messages: {reason}")

    async def _receive(self, message: Msg) -> None:
        if message.headers is not None and not message.reply:
            if message.subject.endswith(f".{self._request}"):  # else of a fetch that was cancelled
                headers = message.headers
                self._status = headers.get("Status", ""), headers.get("Description", "")
                self._settled.set()
            return
        self.arrived.append(_read(message))
        if len(self.arrived) >= self._wanted:
            self._settled.set()


def _read(message: Msg) -> Message:
    """A delivery; where its reply goes says which it is (`metadata` does the same, slower)."""
    words = message.reply.split(".")
    first = 4 if len(words) >= _LONG_REPLY else 2
    stream, _, deliveries, number, _, nanoseconds = words[first : first + 6]
    return Message(
        subject=message.subject,
        payload=message.data,
        position=f"{stream}:{number}",
        received_at=datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC),
        deliveries=int(deliveries),
        handle=message.reply,
        trace=carried(message.headers),
    )


def _missing() -> Unavailable:
    return Unavailable(
        "bus",
        f"the bus has no consumer {CONSUMER} of the stream {EVENTS_STREAM}: run `upnext bus setup`",
    )
