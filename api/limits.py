"""How many answers a caller gets in a minute, the same across workers and replicas.

Answers are lent to a process ahead of need (`core.quota` has the rule and why it holds), so that an
answer seldom waits for the ledger: a loan is a fifth of what is free, renewed when half of it is
used, or when two thirds of its time are over and it is still in use; callers who are due are
settled together 20 times a second, one who has used three quarters at once. What a process holds
of a caller who went quiet goes back after 15 seconds, or as soon as another process recalls it:
nobody is refused while answers lie about elsewhere, save those of a process that died. While the
ledger is away each process counts for itself.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from time import monotonic
from typing import Any

import structlog
from litestar.types import Message, Scope

from api.auth import Principal, Role
from api.limit_account import Account, Verdict
from api.ports import Ledger
from api.settling import Settling
from core.errors import RateLimited
from core.metrics import LIMIT_WAITS
from core.quota import Quota
from core.settings import Settings

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.05
# Between questions while others hold what is left; they are asked to give it back meanwhile.
PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.16)
REFUSED_SECONDS = 1.0
SWEPT = 256  # at most, in one round
MOST_ACCOUNTS = 100_000
_VERDICT, _COUNTED = "limit", "limit_counted"
UNLIMITED = Verdict(0, 0, 0)


class Limiter:
    """Gives answers out of loans; use it in one event loop, with `run` beside it."""

    def __init__(
        self,
        ledger: Ledger,
        quotas: Mapping[Role, Quota],
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._quotas = quotas
        self._clock = clock
        self._sleep = sleep
        self._settling = Settling(ledger, clock, self._keep)
        self._by_roles: dict[frozenset[Role], Quota | None] = {}
        # In the order of when they were last settled.
        self._accounts: dict[str, OrderedDict[str, Account]] = {
            quota.name: OrderedDict() for quota in quotas.values()
        }
        self._following = False

    def take(self, principal: Principal) -> Verdict | None:
        """An answer out of what is in hand; None: ask `acquire`."""
        try:
            quota = self._by_roles[principal.roles]
        except KeyError:
            quota = self._quota(principal.roles)
        if quota is None:
            return UNLIMITED
        account = self._accounts[quota.name].get(principal.sub)
        if account is None or not account.tokens:
            return None
        now = self._clock()
        if now >= account.until:
            return None
        verdict = account.use(now)
        if account.asking:
            return verdict
        if account.tokens <= account.low // 2:
            self._settling.soon(account)
        elif account.tokens <= account.low or now >= account.renewed_from:
            self._settling.later(account)  # with others: a round trip is most of what it costs
        return verdict

    async def acquire(self, principal: Principal) -> Verdict:
        """An answer, asking the ledger if need be.

        Raises:
            RateLimited: the caller has had those of this minute.
        """
        pauses, waited = iter(PAUSES), False
        while (verdict := self.take(principal)) is None:
            account = self._account(principal)
            self._check(account)
            if not waited:
                LIMIT_WAITS.inc()
                waited = True
            await self._settling.lent(account)
            if account.granted:
                continue  # there is one now, unless others were faster
            self._check(account)
            pause = next(pauses, None)
            if pause is None:  # whoever holds the rest does not answer
                account.refused_until = self._clock() + REFUSED_SECONDS
                continue
            await self._settling.recall(account)
            await self._sleep(pause)
        return verdict

    async def count(self, principal: Principal, state: dict[str, Any]) -> Verdict:
        """Count the answer of a request, whatever it will be; `send_limit` reads its `state`.

        Counted once, however often that is asked for.

        Raises:
            RateLimited: it is refused.
        """
        counted: Verdict | None = state.get(_COUNTED)
        if counted is not None:
            return counted
        try:
            verdict = self.take(principal) or await self.acquire(principal)
        except RateLimited as error:
            limit = self._account(principal).quota.limit
            state[_VERDICT] = Verdict(limit, 0, error.retry_after)
            raise
        state[_VERDICT] = state[_COUNTED] = verdict
        return verdict

    async def run(self) -> None:
        """Give back what others want and what nobody uses, until cancelled."""
        while True:
            try:
                await self.tick()
            except Exception:
                log.exception("limits_not_swept")  # whatever it is, the next round tries again
            await self._sleep(POLL_SECONDS)

    async def tick(self) -> None:
        """One round of `run`."""
        if self._following and not any(self._accounts.values()):
            return
        recalled = await self._settling.recalled()
        self._following = self._following or recalled is not None
        for key in recalled or ():
            name, _, sub = key.partition(":")
            account = self._accounts[name].get(sub) if name in self._accounts else None
            if account is not None and (account.tokens or account.marks):
                self._give_back(account)
        for accounts in self._accounts.values():
            self._sweep(accounts)
        self._settling.begin()

    async def close(self) -> None:
        """Give back what is in hand, so that nobody is refused because of it."""
        for accounts in self._accounts.values():
            for account in accounts.values():
                self._give_back(account)
        await self._settling.done()

    def _quota(self, roles: frozenset[Role]) -> Quota | None:
        """The most generous one: none where a role has none; without roles, a user's."""
        if roles not in self._by_roles:
            named: frozenset[Role] = roles or frozenset({"user"})
            quotas = [self._quotas.get(role) for role in named]
            given = [quota for quota in quotas if quota is not None]
            limited = len(given) == len(quotas)
            self._by_roles[roles] = max(given, key=lambda each: each.limit) if limited else None
        return self._by_roles[roles]

    def _account(self, principal: Principal) -> Account:
        """The account of a limited caller, made when first asked for."""
        quota = self._quota(principal.roles)
        if quota is None:
            raise AssertionError("who has no limit has no account")
        accounts = self._accounts[quota.name]
        account = accounts.get(principal.sub)
        if account is None:
            account = accounts[principal.sub] = Account(quota, principal.sub)
            if len(accounts) > MOST_ACCOUNTS:
                accounts.popitem(last=False)
        return account

    def _check(self, account: Account) -> None:
        """Raise `RateLimited` while there is nothing to be had."""
        wait = account.refused_until - self._clock()
        if wait > 0:
            raise RateLimited(
                f"More than {account.quota.limit} answers in a minute: wait a little.",
                retry_after=math.ceil(wait),
            )

    def _give_back(self, account: Account) -> None:
        account.tokens = 0
        self._settling.later(account)

    def _sweep(self, accounts: OrderedDict[str, Account]) -> None:
        """Give back what was lent too long ago and forget who holds nothing."""
        now = self._clock()
        due = [each for each in islice(accounts.values(), SWEPT) if each.until <= now]
        for account in due:
            if account.idle(now):
                del accounts[account.sub]
            else:
                self._give_back(account)

    def _keep(self, account: Account) -> None:
        """Keep a settled account while it holds anything."""
        accounts = self._accounts[account.quota.name]
        if accounts.get(account.sub) is not account:
            return
        if account.idle(self._clock()):
            del accounts[account.sub]
        else:
            accounts.move_to_end(account.sub)


async def send_limit(message: Message, scope: Scope) -> None:
    """Put on every limited answer how many are left."""
    if message["type"] == "http.response.start":
        verdict: Verdict | None = scope["state"].get(_VERDICT)
        if verdict is not None:
            message["headers"] = [*message["headers"], *verdict.headers]


def quotas(settings: Settings) -> dict[Role, Quota]:
    """What each role gets; a role that is not there has no limit."""
    limits: dict[Role, int | None] = {
        "user": settings.limit_user_a_minute,
        "service": settings.limit_service_a_minute,
        "trainer": settings.limit_trainer_a_minute,
        "admin": settings.limit_admin_a_minute,
    }
    return {role: Quota(role, limit) for role, limit in limits.items() if limit is not None}
