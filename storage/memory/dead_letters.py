"""Dead letters and owed drops in memory: the twins of the PostgreSQL adapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec

from core.clock import Clock, utc_now
from core.dead_letters import Letter, Refused, announced, is_of, key_of, owner_of
from core.errors import NotFound
from core.events import DeadLetter
from core.types import UserId


@dataclass
class MemoryDeadLetters:
    """Letters by id; never unavailable. `announced` holds what goes to the bus."""

    clock: Clock = utc_now
    erased: set[str] = field(default_factory=set)
    letters: dict[int, Letter] = field(default_factory=dict)
    announced: dict[int, DeadLetter] = field(default_factory=dict)
    keys: set[UUID] = field(default_factory=set)
    last: int = 0

    async def keep(self, refused: Sequence[Refused]) -> int:
        """Keep each once; how many were left out, of erased users."""
        left_out = 0
        for one in refused:
            if owner_of(one.message.payload) in self.erased:
                left_out += 1
            elif (key := key_of(one.message)) not in self.keys:
                self.keys.add(key)
                self._add(one)
        return left_out

    async def latest(self, most: int) -> list[Letter]:
        """The newest, newest first."""
        return [self.letters[id_] for id_ in sorted(self.letters, reverse=True)[:most]]

    async def get(self, letter_id: int) -> Letter:
        """One of them. Raises `NotFound`."""
        if letter_id not in self.letters:
            raise NotFound(f"There is no dead letter {letter_id}.")
        return self.letters[letter_id]

    async def not_replayed(self) -> list[int]:
        """Those that were never replayed, in the order in which the bus got them."""
        waiting = [letter for letter in self.letters.values() if letter.replayed_at is None]
        return [one.id for one in sorted(waiting, key=lambda one: (one.received_at, one.id))]

    async def mark_replayed(self, letter_id: int) -> None:
        """It is on the bus again."""
        letter = await self.get(letter_id)
        self.letters[letter_id] = msgspec.structs.replace(letter, replayed_at=self.clock())

    async def prune(self, before: datetime) -> int:
        """Forget those that were refused before; how many."""
        old = [id_ for id_, letter in self.letters.items() if letter.created_at < before]
        for id_ in old:
            del self.letters[id_]
        return len(old)

    async def erase(self, user_id: UserId) -> int:
        """Delete those of a user, and their announcements; how many letters these were."""
        theirs = [id_ for id_, one in self.letters.items() if is_of(one.payload, user_id)]
        for id_ in theirs:
            del self.letters[id_]
            self.announced.pop(id_, None)
        return len(theirs)

    def _add(self, refused: Refused) -> None:
        self.last += 1
        self.announced[self.last] = announced(refused)
        message = refused.message
        self.letters[self.last] = Letter(
            id=self.last,
            subject=message.subject,
            payload=message.payload,
            reason=refused.reason,
            attempts=message.deliveries,
            received_at=message.received_at,
            created_at=self.clock(),
        )


@dataclass
class MemoryOwedDrops:
    """Revisions by user; never unavailable."""

    rows: dict[UserId, int] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    async def owe(self, revisions: Mapping[UserId, int]) -> None:
        """Note users, each with the newest revision; not those who were erased."""
        for user_id, revision in revisions.items():
            if user_id not in self.erased:
                self.rows[user_id] = max(revision, self.rows.get(user_id, revision))

    async def owed(self, most: int) -> dict[UserId, int]:
        """Some of what is owed, at most so many."""
        return {user_id: self.rows[user_id] for user_id in sorted(self.rows)[:most]}

    async def settle(self, revisions: Mapping[UserId, int]) -> None:
        """These were dropped; whoever has a newer revision is still owed."""
        for user_id, revision in revisions.items():
            if self.rows.get(user_id, revision + 1) <= revision:
                del self.rows[user_id]
