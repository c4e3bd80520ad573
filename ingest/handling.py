"""What a batch of events does: histories grow, and what was made of the older ones is dropped."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from core.clock import Clock, utc_now
from core.dead_letters import Refused
from core.errors import InvalidInput
from core.messages import Message
from core.metrics import EVENT_TO_LIST_SECONDS
from core.tally import observe_many
from core.types import AddCounts, Interaction
from ingest.checks import LatestTime, latest_time
from ingest.events import Event, interaction_of
from ingest.ports import DeadLetters, Drops, InteractionStore
from ingest.weights import WatchWeights

_decoder: Final = msgspec.json.Decoder(Event)
_UNREADABLE = (ValueError, RecursionError)
"""What reading raises for bytes that are no event; msgspec's errors are ValueErrors."""


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a batch: each of its messages counts once in the last four.

    `watches` and `ratings` are how many could be read as such.
    """

    watches: int = 0
    ratings: int = 0
    accepted: int = 0
    duplicates: int = 0
    erased: int = 0
    dead: int = 0


class Handler:
    """Takes batches of events from whichever bus. Everything it does bears repeating."""

    def __init__(
        self,
        interactions: InteractionStore,
        letters: DeadLetters,
        drops: Drops,
        *,
        weights: Callable[[], WatchWeights],
        clock: Clock = utc_now,
    ) -> None:
        self._interactions = interactions
        self._letters = letters
        self._drops = drops
        self._weights = weights
        self._clock = clock

    async def handle(self, messages: Sequence[Message]) -> Outcome:
        """Commit a batch, then drop the lists of its users: after that it may be acknowledged.

        What breaks a rule becomes a dead letter and leaves its neighbours alone.

        Raises:
            Unavailable: PostgreSQL did not answer: give the whole batch once more.
        """
        batch = _Batch(latest_time(self._clock), self._weights())
        for message in messages:
            batch.read(message)
        outcome = Outcome(ratings=sum(row.kind == "rating" for row in batch.rows))
        outcome.watches = len(batch.rows) - outcome.ratings
        await self._commit(batch.rows, batch.sources, outcome, batch.refused)
        if batch.refused:
            erased = await self._letters.keep(batch.refused)
            outcome.erased += erased
            outcome.dead = len(batch.refused) - erased
        return outcome

    async def _commit(
        self,
        rows: Sequence[Interaction],
        sources: Sequence[Message],
        outcome: Outcome,
        refused: list[Refused],
    ) -> None:
        """Write rows; of those that the store cannot keep, each half by itself, to the last one."""
        if not rows:
            return
        try:
            counts = await self._interactions.add_many(rows)
        except InvalidInput as error:
            if len(rows) == 1:
                refused.append(Refused(sources[0], str(error)))
                return
            half = len(rows) // 2
            await self._commit(rows[:half], sources[:half], outcome, refused)
            await self._commit(rows[half:], sources[half:], outcome, refused)
            return
        _count(outcome, counts)
        if await self._drops.drop(counts.revisions):
            now = self._clock()
            observe_many(
                EVENT_TO_LIST_SECONDS,
                [max(0.0, (now - source.received_at).total_seconds()) for source in sources],
            )


def _count(outcome: Outcome, counts: AddCounts) -> None:
    outcome.accepted += counts.accepted
    outcome.duplicates += counts.duplicates
    outcome.erased += counts.erased


class _Batch:
    """Messages as they are read: rows beside the messages they came in, and what was refused."""

    def __init__(self, latest: LatestTime, weights: WatchWeights) -> None:
        self.rows: list[Interaction] = []
        self.sources: list[Message] = []
        self.refused: list[Refused] = []
        self._latest = latest
        self._weights = weights

    def read(self, message: Message) -> None:
        """Take a message in."""
        try:
            event = _decoder.decode(message.payload)
            row = interaction_of(event, self._latest, message.received_at, self._weights)
        except InvalidInput as error:
            self.refused.append(Refused(message, str(error)))
        except _UNREADABLE as error:
            reason = str(error).replace("\x00", "")  # it may quote what no database keeps
            self.refused.append(Refused(message, f"it cannot be read: {reason}"))
        else:
            self.rows.append(row)
            self.sources.append(message)
