"""A service that starts while its dependencies are away: it comes up, answers and heals."""

from collections.abc import Collection, Mapping
from typing import Any

import httpx

from tests.faults.dependencies import Dependency
from tests.polling import eventually
from tests.served import Served
from tests.serving import GENRES

HEAL_SECONDS = 30.0


class StartedBlind(Served):
    """A service that need only run to count as started."""

    def _ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "it ended"
        try:
            return httpx.get(f"{self.address}/health/live").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def listed(client: httpx.Client, path: str) -> dict[str, Any]:
    answer = client.get(path)
    assert answer.status_code == httpx.codes.OK, answer.text
    body: dict[str, Any] = answer.json()
    return body


def heals(served: Served, each: Mapping[str, Dependency], away: Collection[str]) -> None:
    """It answers without these; then they come back, and nothing is missing any more."""
    with served.client() as client:
        for path in ("/recs/user-1", "/users/user-1/recommendations"):
            body = listed(client, path)
            wanted = {"redis", "milvus", "postgres", "artifacts"} & set(away)
            if "artifacts" in away or "postgres" in away:
                wanted -= {"milvus"}  # without a version there is nothing to ask it for
            if "postgres" in away:
                wanted -= {"artifacts"}  # nobody knows which version to fetch
                wanted |= {"catalogue"}
                if "redis" not in away:
                    wanted -= {"postgres"}  # Redis has the user's history
            assert wanted <= set(body["metadata"]["degraded"]), body["metadata"]
        ready = client.get("/health/ready").status_code
        assert ready == (503 if "postgres" in away else 200)

        for name in away:
            each[name].restart()

        def well() -> bool:
            body = listed(client, "/recs/user-1?limit=20")
            genres = {entry["genre"] for entry in body["recommendations"]}
            return not body["metadata"]["degraded"] and genres == {GENRES[1]}

        eventually(well, seconds=HEAL_SECONDS, every=0.2)
        eventually(
            lambda: client.get("/health").json()["status"] == "ok", seconds=HEAL_SECONDS, every=0.2
        )
        assert client.get("/health/ready").status_code == httpx.codes.OK
