"""Events that could not be taken: each kept once, by its place on the bus, and announced.

An event of somebody who was erased is not kept: the same lock as for histories holds, see
`storage.postgres.erasure`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.dead_letters import Letter, Refused, announced, is_of, key_of, owner_of, payload_of
from core.errors import NotFound
from core.events import DeadLetter
from core.types import UserId
from storage.postgres.engine import pages, reading, transaction
from storage.postgres.erasure import erased_among
from storage.postgres.outbox import append_many, wait_for_relay

_PAGE = 100
_COLUMNS = "id, subject, payload, reason, attempts, received_at, created_at, replayed_at"

_KEEP = text(
    """
    INSERT INTO dead_letters (key, subject, payload, reason, attempts, received_at)
    SELECT * FROM unnest(
        CAST(:key AS uuid[]), CAST(:subject AS text[]), CAST(:payload AS bytea[]),
        CAST(:reason AS text[]), CAST(:attempts AS integer[]), CAST(:received_at AS timestamptz[])
    )
    ON CONFLICT (key) DO NOTHING RETURNING key
    """
)
_LATEST = text(
    f"SELECT {_COLUMNS} FROM dead_letters ORDER BY id DESC LIMIT :most"  # noqa: S608 (constants)
)
_GET = text(f"SELECT {_COLUMNS} FROM dead_letters WHERE id = :id")  # noqa: S608 (constants)
_NOT_REPLAYED = text(
    "SELECT id FROM dead_letters WHERE replayed_at IS NULL ORDER BY received_at, id"
)
_MARK = text("UPDATE dead_letters SET replayed_at = now() WHERE id = :id")
_PRUNE = text("DELETE FROM dead_letters WHERE created_at < :before")
# An id may be written with escapes: what has any is looked into as well.
_SUSPECTS = text(
    r"""
    SELECT id, payload FROM dead_letters
    WHERE position(convert_to(CAST(:user_id AS text), 'UTF8') IN payload) > 0
       OR position(convert_to('\u', 'UTF8') IN payload) > 0
    """
)
_ANNOUNCED = text("SELECT id, data FROM outbox WHERE type = 'DeadLetter'")
_DELETE = text("DELETE FROM dead_letters WHERE id = ANY(CAST(:ids AS bigint[]))")
_TAKE_BACK = text("DELETE FROM outbox WHERE id = ANY(CAST(:ids AS bigint[]))")


class PostgresDeadLetters:
    """`ingest.ports.DeadLetters`, and what is done with them later. All raise `Unavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def keep(self, refused: Sequence[Refused]) -> int:
        """Keep each once, with its announcement; how many were left out, of erased users."""
        owners = [owner_of(one.message.payload) for one in refused]
        async with transaction(self._engine) as connection:
            erased = await erased_among(connection, {name for name in owners if name is not None})
            left = {
                key_of(one.message): one
                for one, owner in zip(refused, owners, strict=True)
                if owner not in erased
            }
            if left:
                await _keep(connection, left)
        return sum(owner in erased for owner in owners)

    async def latest(self, most: int) -> list[Letter]:
        """The newest, newest first."""
        async with reading(self._engine) as connection:
            return [_letter(row) for row in await connection.execute(_LATEST, {"most": most})]

    async def get(self, letter_id: int) -> Letter:
        """One of them. Raises `NotFound`."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(_GET, {"id": letter_id})).one_or_none()
        if row is None:
            raise NotFound(
                f"There is no dead letter {letter_id}: `upnext bus dead-letters list` shows them."
            )
        return _letter(row)

    async def not_replayed(self) -> list[int]:
        """Those that were never replayed, in the order in which the bus got them."""
        async with reading(self._engine) as connection:
            return list((await connection.execute(_NOT_REPLAYED)).scalars())

    async def mark_replayed(self, letter_id: int) -> None:
        """It is on the bus again."""
        async with transaction(self._engine) as connection:
            await connection.execute(_MARK, {"id": letter_id})

    async def prune(self, before: datetime) -> int:
        """Forget those that were refused before; how many."""
        async with transaction(self._engine) as connection:
            return (await connection.execute(_PRUNE, {"before": before})).rowcount

    async def erase(self, user_id: UserId) -> int:
        """Delete those of a user, and their announcements; how many letters these were.

        What was announced before is on the bus when this returns, and can be deleted there.
        """
        letters, announcements = await self._of(user_id), await self._announced_of(user_id)
        async with transaction(self._engine) as connection:
            await wait_for_relay(connection)  # what it has in hand is on the bus after that
            await connection.execute(_DELETE, {"ids": letters})
            await connection.execute(_TAKE_BACK, {"ids": announcements})
        return max(len(letters), len(announcements))  # either may have been pruned before

    async def _of(self, user_id: UserId) -> list[int]:
        asked = {"user_id": user_id}
        return [
            row.id
            async for page in pages(self._engine, _SUSPECTS, asked, _PAGE)
            for row in page
            if is_of(row.payload, user_id)
        ]

    async def _announced_of(self, user_id: UserId) -> list[int]:
        return [
            row.id
            async for page in pages(self._engine, _ANNOUNCED, {}, _PAGE)
            for row in page
            if is_of(payload_of(msgspec.convert(row.data, DeadLetter)), user_id)
        ]


async def _keep(connection: AsyncConnection, refused: Mapping[UUID, Refused]) -> None:
    """Insert in the order of the keys: two who have the same ones wait for each other."""
    keys = sorted(refused)
    messages = [refused[key].message for key in keys]
    columns = {
        "key": keys,
        "subject": [message.subject for message in messages],
        "payload": [message.payload for message in messages],
        "reason": [refused[key].reason for key in keys],
        "attempts": [message.deliveries for message in messages],
        "received_at": [message.received_at for message in messages],
    }
    new = set((await connection.execute(_KEEP, columns)).scalars())
    await append_many(connection, [announced(refused[key]) for key in keys if key in new])


def _letter(row: Row[Any]) -> Letter:
    return Letter(**row._asdict())
