"""Counted answers in Redis (`api.ports.Ledger`).

A caller's count is one string, `l:{<sub>}` (`l:{<sub>}:<role>` for roles other than user), packed:
a base slot, slots after it with their counts, and loans as borrower, count, end. It is gone when
nothing in it counts. One script reads, settles and writes it; its clock is Redis's own. Recalls
are a short stream that each process reads on from where it was.
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from core.errors import PartlyAway, Unavailable
from core.quota import SHARE, Report, Settled
from storage.redis.client import GuardedRedis, mapped
from storage.redis.scripts import Script

RECALLS = "l:recalls"
KEPT_RECALLS = 1000

# The arithmetic of `core.quota.Window.settle`; both pass the same tests.
_SETTLE = f"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local borrower, held, wanted, used, ceiling, counted_ms, slot_ms, lease_ms =
  unpack(cmsgpack.unpack(ARGV[1]))
local slots, loans, elsewhere = {{}}, {{}}, 0
local kept = redis.call('GET', KEYS[1])
if kept then
  local state = cmsgpack.unpack(kept)
  local base, counts, lent = state[1], state[2], state[3]
  for i = 1, #counts, 2 do
    local slot = base + counts[i]
    if slot * slot_ms + counted_ms > now then slots[slot] = counts[i + 1] end
  end
  for i = 1, #lent, 3 do
    local ends = base * slot_ms + lent[i + 2]
    if lent[i] ~= borrower and ends + counted_ms > now then
      loans[#loans + 1] = {{lent[i], lent[i + 1], ends}}
      elsewhere = elsewhere + lent[i + 1]
    end
  end
end
for _, given in ipairs(used) do
  local slot = math.floor((now - given[1]) / slot_ms) + 1
  if slot * slot_ms + counted_ms > now then
    slots[slot] = (slots[slot] or 0) + given[2]
  end
end
local counted, oldest = 0, nil
for slot, count in pairs(slots) do
  counted = counted + count
  if not oldest or slot < oldest then oldest = slot end
end
local free = ceiling - counted - elsewhere - held
local granted = 0
if wanted > 0 and free > 0 then
  granted = math.min(free, math.max(wanted, math.floor(free / {SHARE})))
end
if held + granted > 0 then
  loans[#loans + 1] = {{borrower, held + granted, now + lease_ms}}
end
if not oldest and #loans == 0 then
  redis.call('DEL', KEYS[1])
  return {{0, 0, 0, 0}}
end
local base = oldest or math.floor(now / slot_ms)
local counts, lent = {{}}, {{}}
for slot, count in pairs(slots) do
  counts[#counts + 1] = slot - base
  counts[#counts + 1] = count
end
for _, loan in ipairs(loans) do
  lent[#lent + 1] = loan[1]
  lent[#lent + 1] = loan[2]
  lent[#lent + 1] = loan[3] - base * slot_ms
end
redis.call('SET', KEYS[1], cmsgpack.pack({{base, counts, lent}}), 'PX', counted_ms + lease_ms)
return {{granted, counted, elsewhere, oldest and oldest * slot_ms + counted_ms - now or 0}}
"""


def _key(report: Report) -> str:
    role = "" if report.quota.name == "user" else f":{report.quota.name}"
    return f"l:{{{report.sub}}}{role}"


def _packed(borrower: str, report: Report) -> bytes:
    """The report in one argument: the driver would take longer over many than the script runs."""
    quota = report.quota
    return msgspec.msgpack.encode(
        (
            borrower,
            report.held,
            report.wanted,
            report.used,
            quota.ceiling,
            quota.counted_ms,
            quota.slot_ms,
            quota.lease_ms,
        )
    )


class RedisLedger:
    """`Ledger` of one borrower, named apart from all others. All methods raise `Unavailable`."""

    def __init__(self, client: GuardedRedis, borrower: str) -> None:
        self._client = client
        self._borrower = borrower
        self._settle = Script(_SETTLE)
        self._read: bytes | None = None

    async def settle(self, reports: Sequence[Report]) -> list[Settled]:
        """Settle each, all in one round trip to each server.

        Raises:
            PartlyAway: some were settled, and their servers' answers are in `done` by place.
        """
        calls = [([_key(report)], [_packed(self._borrower, report)]) for report in reports]
        with mapped():
            answers = await self._settle.each(self._client, calls)
            away = [answer for answer in answers if isinstance(answer, Unavailable)]
            for answer in answers:
                if isinstance(answer, Exception) and not isinstance(answer, Unavailable):
                    raise answer
        done = {
            at: Settled(*answer)
            for at, answer in enumerate(answers)
            if not isinstance(answer, Unavailable)
        }
        if away and done:
            raise PartlyAway("redis", done)
        if away:
            raise away[0]
        return list(done.values())

    async def recall(self, key: str) -> None:
        """Ask all borrowers to settle what they hold of this."""
        with mapped():
            await self._client.xadd(RECALLS, {b"k": key}, maxlen=KEPT_RECALLS, approximate=True)

    async def recalled(self) -> list[str]:
        """What has been asked for since the last call; the first call only finds where it is."""
        with mapped():
            if self._read is None:
                last = await self._client.xrevrange(RECALLS, count=1)
                self._read = cast("bytes", last[0][0]) if last else b"0-0"
                return []
            answer = await self._client.xread({RECALLS: self._read})
        entries = _entries(answer)
        if entries:
            self._read = entries[-1][0]
        return [fields[b"k"].decode() for _, fields in entries]


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401 - the driver's
    """The entries of the one stream that was read, in either form that the protocol has."""
    if not answer:
        return []
    if isinstance(answer, dict):
        [batches] = answer.values()
        return cast("list[tuple[bytes, dict[bytes, bytes]]]", batches[0])
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", answer[0][1])
