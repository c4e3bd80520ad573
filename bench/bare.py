"""The least that an answer can cost: an application that sends one body, whatever is asked."""

from typing import Any

from core.settings import Settings, load
from upnext.serve import server

BODY = "bare.body"  # in the home


def application() -> Any:  # noqa: ANN401 - an ASGI application
    """Sends the file `BODY` of the home."""
    body = (load().home / BODY).read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def answer(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return answer


async def _live(receive: Any, send: Any) -> None:  # noqa: ANN401
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def run(settings: Settings) -> None:
    """Serve it as the service is served."""
    server("bench.bare:application", settings).serve()


if __name__ == "__main__":
    run(load())
