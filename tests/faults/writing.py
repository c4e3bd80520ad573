"""A user who watches something while a dependency is away."""

import time
from collections.abc import Collection
from typing import Any

import httpx

from tests.faults.world import Audience
from tests.polling import eventually
from tests.serving import NAMES

USER = "writer"
SOON_SECONDS = 1.5


class Writer:
    """Watches go in, or are refused whole and soon; what went in is on no list of theirs."""

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
        began = time.monotonic()
        status, body = self._post(name)
        assert time.monotonic() - began < SOON_SECONDS
        if "postgres" in away:
            assert (status, body["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "unavailable"), body
        else:
            assert status == httpx.codes.CREATED, body
        self._watched.add(name)

    def look(self) -> None:
        """Now that all is well: refused watches are new, none was half written, lists know them."""
        for name in sorted(self._watched):
            status, body = self._post(name)
            assert status in {httpx.codes.OK, httpx.codes.CREATED}, body
        eventually(self._is_off_the_list)

    def _is_off_the_list(self) -> bool:
        body = self._client.get(f"/recs/{USER}?limit=100").json()
        return not self._watched & {entry["content_id"] for entry in body["recommendations"]}

    def _post(self, name: str) -> tuple[int, Any]:
        answer = self._client.post(
            f"/users/{USER}/watch-history",
            json={"content_id": name},
            headers={"Idempotency-Key": name},
        )
        return answer.status_code, answer.json()
