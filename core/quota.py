"""Counting answers of a sliding window, some of them lent to processes ahead of need.

The rule that everything here keeps: **answers counted in the window, plus all that is lent and not
yet accounted for, never exceed the ceiling**. A borrower states, each time it settles, when the
answers since its last statement were given and what it still holds; the rest of what it held is
free again. What a borrower that died was holding counts as given until it has left the window.

An answer is counted at the end of its time slot, and a guard later than that, never earlier than
it was given: so a window of the clock on the wall never has more than the ceiling.
"""

import math

import msgspec

SHARE = 5  # of what is free, one loan gets a fifth: others find some too


class Quota(msgspec.Struct, frozen=True):
    """How many answers a caller gets in any `window_ms`; `name` keeps one role's apart.

    The ceiling is a hundredth above `limit`. Counting late by up to 1/200 of the window would
    otherwise refuse some callers before they had all of `limit`.
    """

    name: str
    limit: int
    window_ms: int = 60_000
    lease_ms: int = 15_000

    @property
    def ceiling(self) -> int:
        """Most answers in any window."""
        return self.limit + self.limit // 100

    @property
    def slot_ms(self) -> int:
        """Answers of one slot are counted together: 300 slots a window."""
        return max(1, self.window_ms // 300)

    @property
    def counted_ms(self) -> int:
        """How long a slot counts from its end on: the window, and for answers on their way."""
        return self.window_ms + self.window_ms // 1200


class Report(msgspec.Struct, frozen=True):
    """What a borrower states: answers by their age in ms, what it still holds, what it wants.

    `wanted` 0 asks for nothing; otherwise at least that many, if they are there, or a fifth of
    what is free if that is more.
    """

    quota: Quota
    sub: str
    used: tuple[tuple[int, int], ...] = ()
    held: int = 0
    wanted: int = 0

    @property
    def key(self) -> str:
        """The name of what is counted together."""
        return f"{self.quota.name}:{self.sub}"


class Settled(msgspec.Struct, frozen=True):
    """What the ledger answers: `granted` more, `counted` answers in the window.

    `elsewhere` is what other borrowers hold; `relief_ms` is how long until the oldest counted
    answer leaves the window, 0 when none is counted.
    """

    granted: int
    counted: int
    elsewhere: int
    relief_ms: int


class Window:
    """The count of one caller. Times are ms of one clock; not for use by several threads."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._loans: dict[str, tuple[int, int]] = {}

    def settle(self, borrower: str, report: Report, now_ms: int) -> Settled:
        """Take a borrower's report and lend it more if it wants and there is any."""
        quota = report.quota
        self._forget(quota, now_ms)
        self._loans.pop(borrower, None)
        for age_ms, count in report.used:
            slot = math.floor((now_ms - age_ms) / quota.slot_ms) + 1
            if _counts(slot, quota, now_ms):
                self._slots[slot] = self._slots.get(slot, 0) + count
        counted = sum(self._slots.values())
        elsewhere = sum(held for held, _ in self._loans.values())
        granted = _granted(quota.ceiling - counted - elsewhere - report.held, report.wanted)
        if report.held + granted:
            self._loans[borrower] = (report.held + granted, now_ms + quota.lease_ms)
        relief = min(self._slots) * quota.slot_ms + quota.counted_ms - now_ms if counted else 0
        return Settled(granted, counted, elsewhere, relief)

    def remember(self, quota: Quota, counted: int, leaving_ms: int) -> None:
        """Keep room for answers counted elsewhere that leave at `leaving_ms`; not in `ages`."""
        self._loans["elsewhere"] = (counted, leaving_ms - quota.counted_ms)

    def ages(self, quota: Quota, now_ms: int) -> tuple[tuple[int, int], ...]:
        """The counted answers, as a report states them."""
        self._forget(quota, now_ms)
        return tuple(
            (max(0, now_ms - slot * quota.slot_ms), count) for slot, count in self._slots.items()
        )

    @property
    def empty(self) -> bool:
        """Whether nothing was counted when it was last settled."""
        return not self._slots

    def _forget(self, quota: Quota, now_ms: int) -> None:
        self._slots = {
            slot: count for slot, count in self._slots.items() if _counts(slot, quota, now_ms)
        }
        self._loans = {
            name: (held, until)
            for name, (held, until) in self._loans.items()
            if until + quota.counted_ms > now_ms
        }


def _counts(slot: int, quota: Quota, now_ms: int) -> bool:
    return slot * quota.slot_ms + quota.counted_ms > now_ms


def _granted(free: int, wanted: int) -> int:
    """What is lent of `free` answers to one who wants `wanted`."""
    if wanted <= 0 or free <= 0:
        return 0
    return min(free, max(wanted, free // SHARE))
