"""Which messages of Kafka are in work, and how far each partition may be committed.

Kafka keeps one number a partition: everything before it is done. Here is what it does not keep:
messages that are done behind one that is not, and those that wait to be delivered again.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, cast

import msgspec

from core.messages import Message

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(slots=True, eq=False)
class _Open:
    """A message that was handed out and lies behind no commit yet."""

    done: bool = False


class Place(NamedTuple):
    """Where a message is from: its `Message.handle`."""

    partition: Partition
    offset: int
    open: _Open


class InWork:
    """Messages that were handed out and are not committed, by partition and offset."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._open: dict[Partition, dict[int, _Open]] = {}
        self._later: list[tuple[float, int, Message]] = []
        self._turns = count()

    @property
    def size(self) -> int:
        """How many."""
        return sum(len(offsets) for offsets in self._open.values())

    def begin(self, partition: Partition, offset: int) -> Place | None:
        """A message is about to be handed out; None when it was, and is not to come again yet."""
        offsets = self._open.setdefault(partition, {})
        if offset in offsets:
            return None
        offsets[offset] = _Open()
        return Place(partition, offset, offsets[offset])

    def finish(self, messages: Sequence[Message]) -> dict[Partition, int]:
        """These are done: what to commit now, by partition, where it moves on."""
        places = [cast("Place", message.handle) for message in messages]
        for place in places:
            place.open.done = True
            if place.offset in (offsets := self._open.get(place.partition, {})):
                offsets[place.offset].done = True  # another hand may have it again by now
        moved = ((each, self._advance(each)) for each in {place.partition for place in places})
        return {partition: offset for partition, offset in moved if offset is not None}

    def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """Hand these out again after so long."""
        due = self._seconds() + seconds
        for message in messages:
            heappush(self._later, (due, next(self._turns), message))

    def due(self, most: int) -> list[Message]:
        """Those whose time has come, at most `most`, if their partition is still ours."""
        messages: list[Message] = []
        while self._later and len(messages) < most and self.pause() <= 0:
            _, _, message = heappop(self._later)
            place = cast("Place", message.handle)
            if not place.open.done and self._open.get(place.partition, {}).get(place.offset) is (
                place.open
            ):
                again = msgspec.structs.replace(message, deliveries=message.deliveries + 1)
                messages.append(again)
        return messages

    def pause(self) -> float:
        """Seconds until the next is due; infinite when none waits."""
        return self._later[0][0] - self._seconds() if self._later else float("inf")

    def keep_only(self, partitions: Collection[Partition]) -> None:
        """The others are somebody else's now: their messages come again there."""
        self._open = {each: known for each, known in self._open.items() if each in partitions}

    def clear(self) -> None:
        """Nothing is in work."""
        self._open.clear()
        self._later.clear()

    def _advance(self, partition: Partition) -> int | None:
        """Drop what is done at the front; the offset after it, None when nothing is."""
        offsets = self._open.get(partition, {})
        committed = None
        for offset in sorted(offsets):  # what was not committed may have come again, later
            if not offsets[offset].done:
                break
            del offsets[offset]
            committed = offset + 1
        return committed
