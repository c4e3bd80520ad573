"""Dropping users of a cluster: each at the node that has them, then news of all who are dropped.

One script cannot reach several slots, so a process that ends in between has dropped and not told;
whoever sent it the event hears no acknowledgement then, and sends it again.
"""

from collections.abc import Mapping

from core.errors import PartlyAway, Unavailable
from core.types import UserId
from storage.redis.client import GuardedRedis, mapped
from storage.redis.keys import keys_of
from storage.redis.notices import COUNTER, PUBLISH, packed_users
from storage.redis.scripts import Script

_FORGET = Script(
    """
local floor = redis.call('HGET', KEYS[1], 'floor')
if floor and tonumber(ARGV[1]) < tonumber(floor) then return 0 end
local dropped = redis.call('HDEL', KEYS[1], 'body') + redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'floor', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return dropped
"""
)
_TELL = Script(PUBLISH)


async def drop_apart(
    client: GuardedRedis, revisions: Mapping[UserId, int], ttl_seconds: int
) -> int:
    """Raise the floors of these users, each for so long, and tell all; how many had anything.

    Raises:
        PartlyAway: nodes of some did not answer; `done` has the others.
        Unavailable: none was dropped, or nobody could be told.
    """
    users = list(revisions)
    with mapped():
        calls = [(keys_of(user), (str(revisions[user]), ttl_seconds)) for user in users]
        answers = await _FORGET.each(client, calls)
        done = {}
        for user, answer in zip(users, answers, strict=True):
            if not isinstance(answer, Exception):
                done[user] = int(answer)
            elif not isinstance(answer, Unavailable):
                raise answer
        if done or not users:
            await _tell(client, done)
    if len(done) < len(users):
        raise PartlyAway("redis", done) if done else Unavailable("redis")
    return sum(done.values())


async def _tell(client: GuardedRedis, users: Mapping[UserId, int]) -> None:
    [answer] = await _TELL.each(client, [([COUNTER], [packed_users(users)])])
    if isinstance(answer, Exception):
        raise answer
