"""States and finished lists of users in Redis (`api.ports.UserCache`).

A user has two hashes in one cluster slot: `u:{<id>}:state` with the fields `floor` (the newest
revision known) and `body`, and `u:{<id>}:lists` with one field a list. Each write is one script,
so the comparison with the floor and the write cannot be torn apart.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import cast

import msgspec

from core.errors import PartlyAway
from core.types import UserId, UserState
from storage.redis.apart import drop_apart
from storage.redis.client import GuardedRedis, mapped
from storage.redis.keys import keys_of
from storage.redis.notices import PUBLISH, packed_users
from storage.redis.packed import packed, unpacked

STATE_TTL_SECONDS = 86_400
LATE_SECONDS = 120
"""Nothing that was under way when a user was erased, a batch included, still writes after this."""
NEWEST = 2**53 - 1
"""A revision above all others, which are microseconds; beyond it Lua's numbers are not exact."""

# Raising the floor drops what was made below it: those lists come from an older history.
_RAISE_FLOOR = """
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor') or '-1')
local revision = tonumber(ARGV[1])
if revision < floor then return 0 end
if revision > floor then
  redis.call('DEL', KEYS[2])
  redis.call('HDEL', KEYS[1], 'body')
  redis.call('HSET', KEYS[1], 'floor', ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
_PUT_STATE = _RAISE_FLOOR + "redis.call('HSET', KEYS[1], 'body', ARGV[3]) return 1"
_PUT_LIST = (
    _RAISE_FLOOR
    + """
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
"""
)
# At the floor itself everything goes too: what is kept may have been made before the commit. Users
# and revisions come packed, in one argument each: an argument costs the driver more than a user
# costs the script.
_FORGET = (
    """
local users, revisions, dropped = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2]), 0
for at, user in ipairs(users) do
  local state, lists = 'u:{' .. user .. '}:state', 'u:{' .. user .. '}:lists'
  local floor = redis.call('HGET', state, 'floor')
  if not floor or tonumber(revisions[at]) >= tonumber(floor) then
    dropped = dropped + redis.call('HDEL', state, 'body') + redis.call('DEL', lists)
    redis.call('HSET', state, 'floor', revisions[at])
    redis.call('EXPIRE', state, ARGV[3])
  end
end
"""
    + PUBLISH
    + "return dropped"
)
SCANNED = 1_000
"""Keys that Redis looks at in one step of a walk over all of them."""
FORGOTTEN_TOGETHER = 250
"""Users a call: about a millisecond in which Redis does nothing else."""


class RedisUserCache:
    """`UserCache` on Redis. All methods raise `Unavailable`."""

    def __init__(self, client: GuardedRedis) -> None:
        self._client = client
        self._put_state = client.register_script(_PUT_STATE)
        self._put_list = client.register_script(_PUT_LIST)
        self._forget = client.register_script(_FORGET)

    async def state(self, user_id: UserId) -> UserState | None:
        """The kept state; None too for one in another release's form: the next put replaces it."""
        with mapped():
            kept = cast("bytes | None", await self._client.hget(keys_of(user_id)[0], "body"))
        return None if kept is None else unpacked(user_id, kept)

    async def put_state(self, state: UserState) -> None:
        """Keep a state for a day, unless a newer revision is known."""
        with mapped():
            await self._put_state(
                keys=keys_of(state.user_id),
                args=[state.revision, STATE_TTL_SECONDS, packed(state)],
            )

    async def get_list(self, user_id: UserId, field: str) -> bytes | None:
        """The kept list of that field."""
        with mapped():
            return cast("bytes | None", await self._client.hget(keys_of(user_id)[1], field))

    async def put_list(
        self, user_id: UserId, field: str, revision: int, entry: bytes, ttl_seconds: int
    ) -> None:
        """Keep a list; the user's lists expire together, `ttl_seconds` after the last one."""
        with mapped():
            await self._put_list(
                keys=keys_of(user_id), args=[revision, STATE_TTL_SECONDS, field, entry, ttl_seconds]
            )

    async def erase(self, user_id: UserId) -> bool:
        """Drop all of a user, and the mark that it was dropped when nobody can be late any more.

        Whatever is put until then is refused, whatever clock its revision came from.

        Returns:
            Whether anything was kept.
        """
        return bool(await self._drop({user_id: NEWEST}, LATE_SECONDS))

    async def clear(self) -> int:
        """Drop all that is kept of anyone, floors too: for when the truth was replaced.

        Returns:
            How many users something was kept of.
        """
        users, keys = set[bytes](), list[bytes]()
        with mapped():
            async for key in self._client.scan_iter(match="u:{*", count=SCANNED):
                users.add(key.rpartition(b":")[0])
                keys.append(key)
                if len(keys) == SCANNED:
                    await self._unlink(keys)
                    keys.clear()
            await self._unlink(keys)
        return len(users)

    async def _unlink(self, keys: Sequence[bytes]) -> None:
        if not keys:
            return
        for answer in await self._client.together([("UNLINK", key) for key in keys]):
            if isinstance(answer, Exception):
                raise answer

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        """Drop these users' states and lists, refuse older ones and tell all.

        Some hundreds at a time, so that others need not wait long for Redis.

        Raises:
            PartlyAway: those in `done` are dropped, the others not.
        """
        waiting, done, parted = iter(revisions.items()), set[UserId](), False
        while some := dict(islice(waiting, FORGOTTEN_TOGETHER)):
            try:
                await self._drop(some, STATE_TTL_SECONDS)
                done |= some.keys()
            except PartlyAway as error:
                done |= error.done.keys()
                parted = True
        if parted:
            raise PartlyAway("redis", dict.fromkeys(done))

    async def _drop(self, revisions: Mapping[UserId, int], ttl_seconds: int) -> int:
        """Raise the floors of these users, each for so long; how many hashes had anything."""
        if not self._client.one_server:
            return await drop_apart(self._client, revisions, ttl_seconds)
        # As texts: numbers of this size are not exact in every form that Lua might give them.
        floors = msgspec.msgpack.encode([str(revision) for revision in revisions.values()])
        with mapped():
            dropped: int = await self._forget(
                args=[packed_users(revisions.keys()), floors, ttl_seconds]
            )
        return dropped
