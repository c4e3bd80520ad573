"""Giving dead letters another try: as they came, or mended by a person."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import uuid4

from core.dead_letters import Letter
from core.errors import Interrupted, Unavailable


class Letters(Protocol):
    """Dead letters, where they are kept. All raise `Unavailable`."""

    async def get(self, letter_id: int) -> Letter:
        """One of them. Raises `NotFound`."""
        ...

    async def mark_replayed(self, letter_id: int) -> None:
        """It is on the bus again."""
        ...


class Publisher(Protocol):
    """The side of the bus that is needed."""

    async def publish(self, subject: str, message_id: str, payload: bytes) -> None:
        """Publish and wait until the bus has it. Raises `Unavailable`."""
        ...


async def replay(
    letters: Letters,
    bus: Publisher,
    ids: Sequence[int],
    *,
    mended: bytes | None = None,
    on_done: Callable[[int], None] = lambda _: None,
) -> int:
    """Publish letters to where they came from, in this order; how many.

    One that is published twice, for the mark of the first time was lost, counts once all the same:
    its event has a name. One that is still refused becomes another dead letter.

    Args:
        letters: where they are kept.
        bus: where they go.
        ids: which.
        mended: what is published in the place of what came.
        on_done: hears how many are done.

    Raises:
        NotFound: there is no such letter; nothing is replayed.
        Unavailable: of the bus or the database; `Interrupted` when some are replayed.
    """
    for letter_id in ids:
        await letters.get(letter_id)  # before the first of them is published
    for done, letter_id in enumerate(ids):
        try:
            letter = await letters.get(letter_id)
            payload = letter.payload if mended is None else mended
            await bus.publish(letter.subject, str(uuid4()), payload)
            await letters.mark_replayed(letter_id)
        except Unavailable as error:
            if not done:
                raise
            raise Interrupted(
                error.dependency, f"{error}, after {done:,} of {len(ids):,} were replayed"
            ) from error
        on_done(done + 1)
    return len(ids)
