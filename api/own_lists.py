"""Users' own lists: what this process keeps, else what all keep, else what is made now."""

from collections.abc import Hashable
from dataclasses import dataclass

import structlog
from structlog.contextvars import bind_contextvars

from api.admission import Admission, Overloaded
from api.kept_list import Entry, KeptList
from api.list_cache import ListCache, is_stale
from api.local_lists import LocalLists
from api.maker import Made, Maker
from api.moment import Moment
from api.single_flight import SingleFlight
from api.states import Found, States
from core.errors import Unavailable
from core.metrics import LISTS
from core.types import UserId

STOOD_IN = frozenset({"milvus"})
"""Left out of a list that is complete all the same: without a stand-in the source is named, too."""

log = structlog.get_logger(__name__)

_OUTCOMES = {name: LISTS.labels(name) for name in ("local", "redis", "stale", "miss")}


@dataclass(frozen=True, slots=True)
class MadeNow:
    """A list that was made because it was asked for; `made` None: there was no room to make it."""

    found: Found
    made: Made | None


class OwnLists:
    """Finds or makes them; never raises `Unavailable` or `Overloaded`.

    All who ask for one user's list at the same time share one search for it, from the shared
    cache to the last candidate, except across news of that user: whoever asks after a watch never
    joins what began before it.
    """

    def __init__(
        self,
        *,
        local: LocalLists,
        lists: ListCache,
        states: States,
        maker: Maker,
        admission: Admission,
    ) -> None:
        self._local = local
        self._lists = lists
        self._states = states
        self._maker = maker
        self._admission = admission
        self._finding: SingleFlight[KeptList | MadeNow] = SingleFlight()
        self._making: SingleFlight[MadeNow] = SingleFlight()
        self._renewing: SingleFlight[None] = SingleFlight()

    async def find(self, user_id: UserId, moment: Moment) -> KeptList | MadeNow:
        """The list, from where it is found first.

        A kept one has not passed the last filter yet; past its soft age it is given while one
        renewal of it runs.
        """
        kept = self._local.get(user_id, moment)
        if kept is not None:
            return self._served(user_id, moment, kept, "local")
        key = self._key(user_id, moment)
        found = await self._finding.do(key, lambda: self._find(user_id, moment))
        if isinstance(found, KeptList):
            return self._served(user_id, moment, found, "redis")
        _note("miss", moment)
        return found

    async def make(self, user_id: UserId, moment: Moment) -> MadeNow:
        """The list, made now although one is kept: that one has become too short."""
        _note("miss", moment)
        return await self._make_once(user_id, moment)

    def _key(self, user_id: UserId, moment: Moment) -> Hashable:
        drop = self._local.last_drop(user_id)
        return (user_id, moment.version, moment.config.version, drop)

    def _served(self, user_id: UserId, moment: Moment, kept: KeptList, outcome: str) -> KeptList:
        if is_stale(kept.entry, moment):
            outcome = "stale"
            _ = self._renewing.start(  # which holds the task
                self._key(user_id, moment), lambda: self._renew_or_report(user_id, moment)
            )
        _note(outcome, moment)
        return kept

    async def _find(self, user_id: UserId, moment: Moment) -> KeptList | MadeNow:
        ticket = self._local.ticket()
        try:
            entry = await self._lists.read(user_id, moment)
        except Unavailable as error:
            return await self._make(user_id, moment, frozenset({error.dependency}))
        if entry is None:
            return await self._make_once(user_id, moment)
        self._local.put(user_id, entry, moment, ticket=ticket)
        return KeptList(entry)

    async def _make_once(self, user_id: UserId, moment: Moment) -> MadeNow:
        key = self._key(user_id, moment)
        return await self._making.do(key, lambda: self._make(user_id, moment))

    async def _make(
        self,
        user_id: UserId,
        moment: Moment,
        missing: frozenset[str] = frozenset(),
        *,
        renewal: bool = False,
    ) -> MadeNow:
        ticket = self._local.ticket()
        try:
            async with self._admission.enter(renewal=renewal):  # for PostgreSQL's sake, too
                found = await self._states.find(user_id, missing)
                if "postgres" in found.missing:
                    made = await self._maker.listing("personalized", found.state, moment)
                    return MadeNow(found, made)
                made = await self._maker.personal(user_id, found.state, moment)
        except Overloaded:
            return MadeNow(await self._states.kept(user_id, missing), None)
        await self._keep(found, made, moment, ticket)
        return MadeNow(found, made)

    async def _keep(self, found: Found, made: Made, moment: Moment, ticket: int) -> None:
        """Keep a known user's list, unless something was missing from it.

        What is made while Redis is away, or while exact search stands in for the index, is kept
        here alone, and says so.
        """
        state = found.state
        if state is None or not state.recent or made.left_out - STOOD_IN or not moment.loaded:
            return
        without = found.missing | made.left_out
        if not without:
            await self._lists.put(state.user_id, moment, state.revision, made)
        self._local.put(
            state.user_id, Entry.of(made, moment), moment, ticket=ticket, without=without
        )

    async def _renew_or_report(self, user_id: UserId, moment: Moment) -> None:
        try:
            await self._renew(user_id, moment)
        except Exception:
            log.exception("A list could not be renewed.")

    async def _renew(self, user_id: UserId, moment: Moment) -> None:
        """Take the list that another process has renewed, else make it.

        One that there is no room for is left to the next who asks.
        """
        ticket = self._local.ticket()
        missing: frozenset[str] = frozenset()
        try:
            entry = await self._lists.read(user_id, moment)
        except Unavailable as error:
            missing, entry = frozenset({error.dependency}), None
        if entry is not None and not is_stale(entry, moment):
            self._local.put(user_id, entry, moment, ticket=ticket)
        else:
            await self._make(user_id, moment, missing, renewal=True)


def _note(outcome: str, moment: Moment) -> None:
    """Where a request's list came from: counted, and told in its line of the log."""
    _OUTCOMES[outcome].inc()
    bind_contextvars(cache=outcome, model_version=moment.version)
