"""A request as bytes, given to the application below any client that would mend it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from litestar import Litestar
from litestar.testing import TestClient


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the path as it stands in its line, the query without `?`."""

    method: str
    path: bytes
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def scope(self) -> dict[str, Any]:
        """What a server makes of it."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote_to_bytes(self.path).decode("utf-8", "replace"),
            "raw_path": self.path,
            "root_path": "",
            "query_string": self.query,
            "headers": list(self.headers),
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "state": {},
            "extensions": {},
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, the names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(client: TestClient[Litestar], asked: Asked) -> Answered:
    """Give a request to the application that the client has started."""
    with client.portal() as portal:
        answer: Answered = portal.call(_exchange, client.app, asked)
    return answer


async def _exchange(app: Any, asked: Asked) -> Answered:
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": asked.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(asked.scope(), receive, send)
    begun, *pieces = sent
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in begun["headers"]
    }
    return Answered(begun["status"], headers, b"".join(part.get("body", b"") for part in pieces))
