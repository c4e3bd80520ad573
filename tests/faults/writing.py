"""A user who watches something while a dependency is away."""

import time
from collections.abc import Collection

import httpx

from tests.faults.rounds import RECOVERY_SECONDS
from tests.faults.world import Audience
from tests.polling import eventually
from tests.serving import NAMES

USER = "writer"
SOON_SECONDS = 3.0
"""Less than the service would wait for a PostgreSQL that says nothing."""


class Writer:
    """Watches go in, or are refused whole and soon; what went in is on no list of theirs.

    One process of the service may know of a recovery before another does, and which of them
    answers is chance: where PostgreSQL is there, a refused watch goes in when it is sent again.
    """

    def __init__(self, audience: Audience) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{audience.settings.port}",
            headers={"Authorization": f"Bearer {audience.token}"},
            timeout=20,
        )
        self._names = iter(NAMES)
        self._watched: set[str] = set()

    def watch(self, away: Collection[str]) -> None:
        """One watch now; without PostgreSQL it is refused, and taken again afterwards."""
        name = next(self._names)
        if "postgres" in away:
            began = time.monotonic()
            assert not self._went_in(name)
            assert time.monotonic() - began < SOON_SECONDS
        else:
            self._goes_in(name, seconds=SOON_SECONDS)
        self._watched.add(name)

    def look(self) -> None:
        """Now that all is well: refused watches are new, none was half written, lists know them."""
        for name in sorted(self._watched):
            self._goes_in(name, seconds=RECOVERY_SECONDS)
        eventually(self._is_off_the_list)

    def _is_off_the_list(self) -> bool:
        body = self._client.get(f"/recs/{USER}?limit=100").json()
        return not self._watched & {entry["content_id"] for entry in body["recommendations"]}

    def _goes_in(self, name: str, *, seconds: float) -> None:
        eventually(lambda: self._went_in(name), seconds=seconds)

    def _went_in(self, name: str) -> bool:
        """Whether it is written now; if not, that was said in the right words."""
        answer = self._client.post(
            f"/users/{USER}/watch-history",
            json={"content_id": name},
            headers={"Idempotency-Key": name},
        )
        if answer.status_code in {httpx.codes.OK, httpx.codes.CREATED}:
            return True
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
        return False
