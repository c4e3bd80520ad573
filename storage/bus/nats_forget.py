"""Taking messages out of a stream of NATS."""

from collections.abc import AsyncIterator, Callable
from typing import Final

import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.client import JetStreamContext

PAGE: Final = 500
UNUSED_SECONDS: Final = 30.0
"""After which the server drops a reader that went away half-way."""


async def forget(
    stream: JetStreamContext, subject: str, matches: Callable[[bytes], bool], seconds: float
) -> int:
    """Delete the messages of `subject` that match, overwriting them; how many.

    `seconds` is how long a page of them is waited for.
    """
    try:
        name = await stream.find_stream_name_by_subject(subject)
    except nats.js.errors.NotFoundError:
        return 0
    messages = _read(stream, name, subject, seconds)
    found = [number async for number, data in messages if matches(data)]
    for number in found:
        await stream.delete_msg(name, number)
    return len(found)


async def _read(
    stream: JetStreamContext, name: str, subject: str, seconds: float
) -> AsyncIterator[tuple[int, bytes]]:
    """Number and payload of each message that the subject has now."""
    reader = await stream.pull_subscribe(
        subject,
        stream=name,
        config=ConsumerConfig(
            ack_policy=AckPolicy.NONE, inactive_threshold=UNUSED_SECONDS, mem_storage=True
        ),
    )
    left = (await reader.consumer_info()).num_pending or 0
    while left > 0:
        for message in await reader.fetch(min(left, PAGE), timeout=seconds):
            left = message.metadata.num_pending
            yield message.metadata.sequence.stream, message.data
    await reader.unsubscribe()
