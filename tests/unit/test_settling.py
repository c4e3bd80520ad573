"""Accounts whose ledger answers for some of them only, as a cluster without one of its nodes."""

from collections.abc import Sequence

import pytest

from api.limit_account import Account
from api.settling import Settling
from core.errors import PartlyAway
from core.quota import Quota, Report, Settled, Window

pytestmark = pytest.mark.unit
QUOTA = Quota("user", 500)


class Parted:
    """A ledger that says nothing of the callers in `gone`, and keeps every report it was told."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.windows: dict[str, Window] = {}
        self.now = 0.0

    async def settle(self, reports: Sequence[Report]) -> list[Settled]:
        answers = {
            at: self.windows.setdefault(report.sub, Window()).settle(
                "a", report, int(self.now * 1000)
            )
            for at, report in enumerate(reports)
            if report.sub not in self.gone
        }
        if len(answers) < len(reports):
            raise PartlyAway("redis", answers)
        return list(answers.values())

    async def recall(self, key: str) -> None:
        raise AssertionError(key)

    async def recalled(self) -> list[str]:
        return []


async def test_what_was_counted_of_one_is_not_stated_again_while_another_is_away() -> None:
    ledger, settled = Parted(), list[Account]()
    settling = Settling(ledger, lambda: ledger.now, settled.append)
    here, there = Account(QUOTA, "here"), Account(QUOTA, "there")

    async def give(many: int) -> None:
        for account in (here, there):
            account.marks.append([ledger.now, many])
            settling.later(account)
        await settling.done()
        ledger.now += 0.5

    await give(3)
    ledger.gone = {"there"}
    for _ in range(4):
        await give(2)
    assert (here.counted, here.alone) == (11, None)
    assert there.counted == 11  # by itself
    assert there.alone is not None
    ledger.gone = set()
    await give(1)
    assert (here.counted, there.counted) == (12, 12)
    assert there.alone is None
