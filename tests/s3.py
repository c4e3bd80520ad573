"""An S3 for tests that answers wrongly, late or not at all when it is told to."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Self

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from tests.ports import free_port

Fault = Literal["partial", "corrupted", "unnoticed", "slow", "error"]
BUCKET = "artifacts"
HANG_SECONDS = 60.0


class FaultyS3:
    """moto's S3 on a port of its own. `fail` and `refuse` break it, `mend` makes it whole again.

    What the faults do to a request: `partial` sends half of the body, `corrupted` another one than
    its checksum says, `unnoticed` another one without a checksum, `slow` nothing for a minute,
    `error` status 500.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.asked: list[str] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._fault: Fault | None = None
        self._method, self._name = "GET", ""
        self._left = 0
        self._end = threading.Event()
        self._server: BaseWSGIServer | None = None

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, *error: object) -> None:
        self.refuse()

    def fail(
        self, fault: Fault, *, method: str = "GET", name: str = "", times: int = 1_000_000
    ) -> None:
        """Do this to the next so many requests of a method for keys that end so.

        The method `LIST` is a GET of the bucket.
        """
        self._fault, self._method, self._name, self._left = fault, method, name, times

    def refuse(self) -> None:
        """Answer nobody: connections are refused."""
        self._end.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def mend(self) -> None:
        """Answer everybody, rightly."""
        self._left = 0
        self._end.set()
        self._end = threading.Event()
        if self._server is None:
            self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
            threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append(f"{method} {path}")
        if method == "GET" and path.strip("/") == BUCKET:
            method = "LIST"
        if not (method == self._method and path.endswith(self._name) and self._left > 0):
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        self._left -= 1
        if self._fault == "slow":
            self._end.wait(HANG_SECONDS)
        if self._fault in {"slow", "error"}:
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        return self._spoilt(environ, start_response)

    def _spoilt(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        """The right answer, half of it or with another byte."""
        kept: list[Any] = []
        body = b"".join(self._app(environ, lambda *given: kept.extend(given)))
        status, headers = kept[:2]
        if self._fault == "unnoticed":
            headers = [pair for pair in headers if not pair[0].lower().startswith("x-amz-checksum")]
        start_response(status, headers)
        if self._fault == "partial":
            yield body[: len(body) // 2]
        else:
            yield body[:-1] + bytes([body[-1] ^ 0xFF])


def point_at(s3: FaultyS3, patch: pytest.MonkeyPatch) -> str:
    """Have this process and its children use it; the URL for artifacts."""
    patch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    return f"s3://{BUCKET}/of/upnext"
