"""Videos of three genres, users who each like one, and what is asked of them."""

import asyncio
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

from core.clock import utc_now
from core.hashing import event_key
from core.settings import Settings, load
from core.types import Interaction, UserId, VideoId
from storage.postgres import migrate
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from tests.catalogues import fitted_of, video
from tests.faults.steady import Question, question
from tests.patience import SHIPPED
from tests.ports import free_port
from tests.served import put_live, write_videos
from tests.serving import GENRES, NAMES, vectors_by_genre
from upnext.tokens import make_token

WATCHED = 6
REGULARS = 20
LENIENT = {"redis_timeout_seconds": "0.5", "postgres_read_timeout_seconds": "1"}
"""For a machine that runs other tests too. Those who ask first of what hangs keep more of the
others out meanwhile."""


def settings_of(folder: Path, urls: dict[str, str], **more: str) -> Settings:
    """A service of two workers over these."""
    return load(
        {
            "home": str(folder / "home"),
            "port": str(free_port()),
            "workers": "2",
            "jwt_secret": "a secret of this test only, long enough for an HMAC",
            **SHIPPED,
            **urls,
            **more,
        }
    )


@dataclass(frozen=True)
class Audience:
    """`count` users; the first 20 come again and again, of the others each comes once."""

    count: int
    settings: Settings
    token: str = field(init=False)

    def __post_init__(self) -> None:
        made = make_token(self.settings, "gateway", ("service",), timedelta(hours=2))
        object.__setattr__(self, "token", made)

    def watched(self, user: int) -> list[VideoId]:
        """What a user has watched, all of one genre."""
        return [VideoId(NAMES[(user % 3) + 3 * ((user + 7 * at) % 50)]) for at in range(WATCHED)]

    def prepare(self) -> None:
        """Write videos, histories and a live version.

        In another process: the client of Milvus has threads of its own, and a process that has
        them does not start servers reliably.
        """
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            other.submit(self.write).result()

    def write(self) -> None:
        """What `prepare` does, in this process."""
        migrate.upgrade(str(self.settings.postgres_url))
        write_videos(
            self.settings,
            [video(name, GENRES[row % 3], age_days=row) for row, name in enumerate(NAMES)],
        )
        put_live(self.settings, fitted_of(NAMES, vectors_by_genre()), "r1")
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        began = utc_now() - timedelta(days=3)
        watches = [
            Interaction(
                key=event_key("faults", f"{user} {at}"),
                user_id=UserId(f"user-{user}"),
                video_id=name,
                kind="watch",
                occurred_at=began + timedelta(minutes=at),
                weight=1.0,
            )
            for user in range(self.count)
            for at, name in enumerate(self.watched(user))
        ]
        async with pool(self.settings, patient=True) as engine:
            store = PostgresInteractions(engine)
            for start in range(0, len(watches), 2000):
                await store.add_many(watches[start : start + 2000])

    def ask(self, number: int) -> Question:
        """The question of that number: of twenty one by a newcomer, about a video, to rank."""
        turn, round_ = number % 20, number // 20
        if turn == 5:
            user = REGULARS + round_ % (self.count - REGULARS)
            return self._of("recs", user, f"/recs/user-{user}")
        if turn == 10:
            name = NAMES[round_ % len(NAMES)]
            return question("similar", name, f"/videos/{name}/similar", self.token)
        user = (number * 7) % REGULARS
        if turn == 11:
            body = {"user_id": f"user-{user}", "content_ids": NAMES}
            return question("rank", str(user), "/recs/rank", self.token, body)
        if turn % 2:
            return self._of("users", user, f"/users/user-{user}/recommendations")
        return self._of("recs", user, f"/recs/user-{user}")

    def _of(self, kind: str, user: int, path: str) -> Question:
        return question(kind, str(user), path, self.token)
