"""What one process knows and holds of one limited caller."""

import asyncio

import msgspec

from core.quota import Quota, Report, Settled, Window

Header = tuple[bytes, bytes]
Marks = list[list[float]]  # [not later than, answers]
SMALL = 10  # a loan below this is not renewed ahead of need: near the limit nobody hoards


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """An answer may be given: what is left, and seconds until some counted answer leaves.

    `limit` 0 means that there is none.
    """

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields that every limited answer carries."""
        if not self.limit:
            return ()
        return (
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset),
        )


class Account:
    """Answers in hand of one caller, and those given that the ledger has not been told of.

    `tokens` may be used until `until`; at `low` the ledger is asked for more, and who uses some
    from `renewed_from` on keeps them longer. `left` is how many the
    caller has, as far as this process knows; the oldest counted one leaves at `relief`; nothing is
    given before `refused_until`. `alone` counts while the ledger is away; `waiting` requests wait
    for `answer`, `asking` while a wish is with the ledger. Times are seconds of one clock.
    """

    __slots__ = (
        "alone",
        "answer",
        "asking",
        "counted",
        "granted",
        "key",
        "left",
        "low",
        "mark_seconds",
        "marks",
        "quota",
        "refused_until",
        "relief",
        "renewed_from",
        "sub",
        "tokens",
        "until",
        "waiting",
        "window_seconds",
    )

    def __init__(self, quota: Quota, sub: str) -> None:
        self.quota = quota
        self.sub = sub
        self.key = f"{quota.name}:{sub}"
        self.mark_seconds = quota.window_ms / 1_200_000
        self.window_seconds = max(1, quota.window_ms // 1000)
        self.tokens = 0
        self.low = 0
        self.until = 0.0
        self.renewed_from = 0.0
        self.left = quota.limit
        self.relief = 0.0
        self.refused_until = 0.0
        self.granted = 0
        self.counted = 0
        self.marks: Marks = []
        self.alone: Window | None = None
        self.waiting = 0
        self.asking = False
        self.answer: asyncio.Future[None] | None = None

    def use(self, now: float) -> Verdict:
        """Give one answer of those in hand. It is counted at `now` or a little later."""
        self.tokens -= 1
        self.left -= 1
        marks = self.marks
        if marks and now < marks[-1][0]:
            marks[-1][1] += 1
        else:
            marks.append([now + self.mark_seconds, 1])
        reset = int(self.relief - now) + 1
        longest = self.window_seconds
        return Verdict(
            self.quota.limit,
            max(0, self.left),
            reset if 0 < reset <= longest else longest,
        )

    def report(self, marks: Marks, now: float, wanted: int) -> Report:
        """What is stated of `marks` and of the answers in hand."""
        used = tuple((max(0, int((now - at) * 1000)), int(count)) for at, count in marks)
        return Report(self.quota, self.sub, used, self.tokens, wanted)

    def come_back(self, now: float) -> Marks:
        """What was given while the ledger was away; what is in hand since then is not its own."""
        if self.alone is None:
            return []
        self.tokens = 0
        ages = self.alone.ages(self.quota, int(now * 1000))
        return [[now - age_ms / 1000, count] for age_ms, count in ages]

    def settle(self, answer: Settled, *, wanted: int, sent: float) -> None:
        """Take what the ledger answered to a report sent at `sent`."""
        self.granted = answer.granted
        self.counted = answer.counted
        self.tokens += answer.granted
        if wanted:
            self.low = self.tokens // 2 if answer.granted >= SMALL else 0
        self.until = sent + self.quota.lease_ms / 1000
        self.renewed_from = sent + self.quota.lease_ms / 1500
        unreported = sum(int(count) for _, count in self.marks)
        self.left = self.quota.limit - answer.counted - unreported
        lasting = answer.relief_ms if answer.counted else self.quota.window_ms
        self.relief = sent + lasting / 1000
        if wanted and not answer.granted and not answer.elsewhere:
            self.refused_until = self.relief

    def wished(self) -> asyncio.Future[None]:
        """What is done when the ledger has answered a wish of now or of a moment ago."""
        if self.answer is None:
            self.answer = asyncio.get_running_loop().create_future()
        return self.answer

    def wake(self, error: BaseException | None = None) -> None:
        """Let those go on who waited for the answer to a wish."""
        if not self.asking:
            return
        self.asking, future, self.answer = False, self.answer, None
        if future is not None and error is None:
            future.set_result(None)
        elif future is not None and error is not None:
            future.set_exception(error)

    def idle(self, now: float) -> bool:
        """Whether nothing would be lost with this account."""
        return not (
            self.tokens
            or self.marks
            or self.waiting
            or self.refused_until > now
            or (self.alone is not None and not self.alone.empty)
        )
