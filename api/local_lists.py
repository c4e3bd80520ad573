"""Finished lists and answers in the memory of this process: what most requests are answered from.

An answer is kept as it is sent, for one model version, one configuration and one edition of the
catalogue: when any of them changes it is written anew from the list beside it, which passes the
last filter again. Popularity alone may be as old as the list.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from sys import getsizeof

from cachetools import LRUCache

from api.answers import shown
from api.impressions import Shown
from api.kept_list import Entry, KeptList
from api.moment import Moment
from api.schemas import UserList
from core.metrics import LOCAL_BYTES, NOTICES
from core.types import UserId

AWAY_SECONDS = 5.0
DROPS_REMEMBERED = 20_000  # users; about 3 MB
_USER_BYTES = 900  # of the objects around a list, and of its place
_ANSWER_BYTES = 600
_ENTRY_BYTES = 130  # a video of an answer: its id and source, as impressions are counted by


@dataclass(slots=True, eq=False)
class Answer:
    """A finished answer: it may be sent as it is while `holds` is true."""

    body: bytes
    length: bytes
    shown: Shown
    version: str | None
    config: int
    edition: int
    until: datetime

    def holds(self, moment: Moment) -> bool:
        """Whether nothing has changed since it was written, and it is not due to be renewed."""
        return (
            moment.now < self.until
            and moment.snapshot.edition == self.edition
            and moment.version == self.version
            and moment.config.version == self.config
            and moment.loaded
            and moment.live_missing is None
        )


@dataclass(slots=True, eq=False)
class _User:
    """What is kept of one user, made by one version and configuration."""

    version: str | None
    config: int
    kept: KeptList
    until: datetime
    answers: dict[int, Answer] = field(default_factory=dict)

    def size(self) -> int:
        """Bytes, about."""
        answers = sum(
            getsizeof(one.body) + _ANSWER_BYTES + _ENTRY_BYTES * len(one.shown.entries)
            for one in self.answers.values()
        )
        return _USER_BYTES + self.kept.entry.size() + answers


class LocalLists:
    """At most `most_bytes` of lists and answers, the least recently used go first.

    Emptied by `lose` and told of single users by `drop`; what was read or made before such news
    is refused after it: take a `ticket` before you read, and give it back with what you keep.
    """

    def __init__(
        self,
        most_bytes: int,
        *,
        drops_remembered: int = DROPS_REMEMBERED,
    ) -> None:
        self._users: LRUCache[UserId, _User] = LRUCache(most_bytes, getsizeof=_User.size)
        self._most_bytes = most_bytes
        self._drops_remembered = drops_remembered
        self._drops = 0
        self._dropped: dict[UserId, int] = {}  # in the order of their numbers
        self._refused_until = 0
        self._following = False

    @property
    def following(self) -> bool:
        """Whether news of other processes arrive; without, lists live for five seconds."""
        return self._following

    def ticket(self) -> int:
        """The number of the last news, for `put`."""
        return self._drops

    def last_drop(self, user_id: UserId) -> int:
        """The number of the last news of this user, as far as it is remembered."""
        return self._dropped.get(user_id, self._refused_until)

    def get(self, user_id: UserId, moment: Moment) -> KeptList | None:
        """The user's list of this moment's version and configuration."""
        user = self._users.get(user_id)
        if (
            user is None
            or moment.now >= user.until
            or user.version != moment.version
            or user.config != moment.config.version
        ):
            return None
        return user.kept

    def put(
        self,
        user_id: UserId,
        entry: Entry,
        moment: Moment,
        *,
        ticket: int,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Keep a list, unless the user's lists were dropped since the ticket was taken.

        Args:
            user_id: whose it is.
            entry: the list.
            moment: the one it was read or made at.
            ticket: from before it was read, or from before what it is made of was.
            without: what did not answer as it was made.
        """
        if ticket < self.last_drop(user_id) or ticket < self._refused_until:
            return
        until = entry.made_until(moment.config.hard_age_seconds)
        if not self._following or without:
            until = min(until, moment.now + timedelta(seconds=AWAY_SECONDS))
        kept = KeptList(entry, without)
        self._keep(user_id, _User(moment.version, moment.config.version, kept, until))

    def answer(self, user_id: UserId, limit: int) -> Answer | None:
        """The finished answer, whether or not it still holds."""
        try:  # the cache's own `get` looks a key up three times, and every kept list comes by here
            return self._users[user_id].answers.get(limit)
        except KeyError:
            return None

    def put_answer(
        self, body: UserList, limit: int, encoded: bytes, before: Moment, after: Moment
    ) -> None:
        """Keep an answer from the list that is kept, if all between the two moments was the same.

        Args:
            body: what was answered.
            limit: what was asked for.
            encoded: the body as it was sent.
            before: from before the answer was made.
            after: from when it was made.
        """
        user_id, metadata = UserId(body.user_id), body.metadata
        user = self._users.get(user_id)
        if (
            user is None
            or metadata.degraded
            or not metadata.cache_hit
            or user.kept.entry.recommendation_id != metadata.recommendation_id
        ):
            return
        answer = Answer(
            body=encoded,
            length=str(len(encoded)).encode(),
            shown=shown(body),
            version=user.version,
            config=user.config,
            edition=before.snapshot.edition,
            until=_until(user, before),
        )
        if answer.holds(after):
            user.answers[limit] = answer
            self._keep(user_id, user)

    def drop(self, user_ids: Iterable[UserId]) -> None:
        """Their lists are no longer right, nor what is being made or read of them now."""
        for user_id in user_ids:
            self._drops += 1
            self._dropped.pop(user_id, None)
            self._dropped[user_id] = self._drops
            if self._users.pop(user_id, None) is not None:
                LOCAL_BYTES.set(self._users.currsize)
        while len(self._dropped) > self._drops_remembered:
            oldest = next(iter(self._dropped))
            self._refused_until = self._dropped.pop(oldest)

    def lose(self, why: str) -> None:
        """News may have been missed: forget everything, and trust it for five seconds only."""
        NOTICES.labels(why).inc()
        self._following = False
        self._forget_all()

    def follow(self) -> None:
        """From now on all news arrive."""
        self._forget_all()
        self._following = True

    def _forget_all(self) -> None:
        self._drops += 1
        self._refused_until = self._drops
        self._dropped.clear()
        self._users.clear()
        LOCAL_BYTES.set(0)

    def _keep(self, user_id: UserId, user: _User) -> None:
        if user.size() <= self._most_bytes:
            self._users[user_id] = user
            LOCAL_BYTES.set(self._users.currsize)


def _until(user: _User, moment: Moment) -> datetime:
    """When the list is due to be renewed or forgotten, or a window opens or closes."""
    soft = user.kept.entry.made_until(moment.config.soft_age_seconds)
    edge = moment.snapshot.eligible_until(moment.now)
    until = min(soft, user.until)
    return min(until, datetime.fromtimestamp(edge, UTC)) if edge < until.timestamp() else until
