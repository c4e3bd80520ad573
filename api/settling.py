"""Telling the ledger what was given, and what it lends: many callers in one pipeline."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

import structlog

from api.limit_account import Account, Marks
from api.ports import Ledger
from core.errors import PartlyAway, Unavailable
from core.quota import Settled, Window

AWAY_SECONDS = 1.0  # a ledger that did not answer is asked again after this
BATCH = 32  # about a millisecond's work: a larger one would hold up answers

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Statement:
    """What one account states in one round trip."""

    account: Account
    marks: Marks
    wanted: int


class Settling:
    """The one task of a process that talks to the ledger, and counts itself while that is away.

    `settled` is called with each account that an answer has come for, at the time it was sent.
    """

    def __init__(
        self, ledger: Ledger, clock: Callable[[], float], settled: Callable[[Account], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settled = settled
        self._due: dict[Account, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._away_until = 0.0

    def later(self, account: Account) -> None:
        """Settle this account when `begin` is called, or another has to be settled."""
        self._due[account] = None

    def soon(self, account: Account) -> None:
        """Settle this account now, together with others that are due."""
        self._due[account] = None
        self.begin()

    def begin(self) -> None:
        """Settle what is due, if anything is."""
        if self._due and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def lent(self, account: Account) -> None:
        """Wait until the ledger has answered this account's wish for more."""
        account.waiting += 1
        try:
            if not account.asking:
                self.soon(account)
            # Several may wait: one that goes away must not take the answer from the others.
            await asyncio.shield(account.wished())
        finally:
            account.waiting -= 1

    async def done(self) -> None:
        """Wait until nothing is due."""
        self.begin()
        if self._task is not None:
            await self._task

    async def recall(self, account: Account) -> None:
        """Ask other processes for what they hold of this caller."""
        try:
            await self._ledger.recall(account.key)
        except Exception as error:  # noqa: BLE001 - logged; no fault of counting may fail an answer
            self._is_away(error)

    async def recalled(self) -> list[str] | None:
        """Keys that others want back; None: the ledger is away."""
        if self._clock() < self._away_until:
            return None
        try:
            return await self._ledger.recalled()
        except Exception as error:  # noqa: BLE001 - as above
            self._is_away(error)
            return None

    async def _run(self) -> None:
        try:
            while self._due:
                batch = list(islice(self._due, BATCH))
                for account in batch:
                    del self._due[account]
                await self._settle(batch)
        finally:
            self._task = None

    async def _settle(self, batch: list[Account]) -> None:
        sent = self._clock()
        statements = [self._statement(account, sent) for account in batch]
        try:
            answers = await self._answers(statements, sent)
            for statement, answer in zip(statements, answers, strict=True):
                statement.account.settle(answer, wanted=statement.wanted, sent=sent)
                self._settled(statement.account)
        except Exception as error:
            log.exception("limits_not_settled")
            for statement in statements:
                statement.account.wake(error)
        else:
            for statement in statements:
                statement.account.wake()

    def _statement(self, account: Account, sent: float) -> _Statement:
        if sent >= account.until:
            account.tokens = 0
        wanted = account.waiting or int(0 < account.tokens <= account.low)
        marks, account.marks = account.marks, []
        account.asking = wanted > 0
        return _Statement(account, marks, wanted)

    async def _answers(self, statements: list[_Statement], sent: float) -> list[Settled]:
        """The ledger's, and our own for those of whom it says nothing."""
        answers = {} if sent < self._away_until else await self._asked(statements, sent)
        for at in answers:
            statements[at].account.alone = None
        return [
            answers[at] if at in answers else _alone(each, sent)
            for at, each in enumerate(statements)
        ]

    async def _asked(self, statements: list[_Statement], sent: float) -> Mapping[int, Settled]:
        """What the ledger answers, by the place of the statement; nothing while it is away."""
        reports = []
        for each in statements:
            marks = [*each.account.come_back(sent), *each.marks]
            reports.append(each.account.report(marks, sent, each.wanted))
        try:
            answers = await self._ledger.settle(reports)
            if len(answers) != len(reports):
                raise ValueError("the ledger answered other than it was asked")  # noqa: TRY301
        except PartlyAway as error:  # stated again, what is done would count twice
            return error.done
        except Exception as error:  # noqa: BLE001 - as above
            self._is_away(error)
            return {}
        return dict(enumerate(answers))

    def _is_away(self, error: Exception) -> None:
        """Count alone for a second; who asks meanwhile need not wait."""
        if not isinstance(error, Unavailable):
            log.error("limits_not_settled", exc_info=error)
        self._away_until = self._clock() + AWAY_SECONDS


def _alone(statement: _Statement, sent: float) -> Settled:
    account = statement.account
    if account.alone is None:
        account.alone = Window()
        account.alone.remember(account.quota, account.counted, int(account.relief * 1000))
    report = account.report(statement.marks, sent, statement.wanted)
    answer = account.alone.settle("", report, int(sent * 1000))
    relief_ms = answer.relief_ms or max(0, int((account.relief - sent) * 1000))
    return Settled(answer.granted, answer.counted + answer.elsewhere, 0, relief_ms)
