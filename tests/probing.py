"""Every parameter of every operation, filled with addresses and files of somebody's choosing."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

CANARY = "what stands in a file that is none of the callers' business"
_UNDOCUMENTED = ("url", "uri", "file", "path", "callback", "next", "redirect", "template", "src")
_HEADERS = (
    "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Original-URL", "X-Rewrite-URL",
    "Referer", "Origin", "X-Request-ID", "traceparent", "tracestate", "baggage",
    "Content-Location", "Destination", "Link", "Accept-Language",
)  # fmt: skip
_FILES = ("/docs/assets/{}", "/docs/{}", "/{}", "/jobs/{}/result", "/openapi.json/{}")
_FILLED = {"string": "v1", "integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}


class Listener:
    """Somebody's own server, which counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.came = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                there, _ = self._socket.accept()
            except OSError:  # closed
                return
            self.came += 1
            there.close()


@dataclass(frozen=True, slots=True)
class Probe:
    """A request: its target as it stands in its line."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def baits(port: int, canary: Path) -> list[str]:
    """What a caller would like to have fetched or read."""
    return [
        f"http://127.0.0.1:{port}/fetched",
        f"//127.0.0.1:{port}/fetched",
        f"s3://127.0.0.1:{port}/bucket",
        canary.as_uri(),
        str(canary),
        "../" * 12 + str(canary).lstrip("/"),
        f"../{canary.name}",
        f"..%2f{canary.name}",
    ]


def probes(document: dict[str, Any], named: list[str]) -> Iterator[Probe]:
    """Requests that put each of these into each parameter, one at a time."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _of_operation(document, method.upper(), path, operation, named)
    for bait in named:
        for template in _FILES:
            yield Probe("GET", template.format(bait))
            yield Probe("GET", template.format(quote(bait, safe="")))
        yield Probe("GET", bait if "://" in bait else "/" + bait)


def _of_operation(
    document: dict[str, Any], method: str, path: str, operation: dict[str, Any], named: list[str]
) -> Iterator[Probe]:
    parameters = operation.get("parameters", [])
    plain = _plain(path, parameters)
    body = _body(document, operation)
    for bait in named:
        for parameter in parameters:
            yield from _filled(method, path, plain, parameter, bait)
        query = urlencode(dict.fromkeys(_UNDOCUMENTED, bait))
        yield Probe(method, f"{plain}?{query}")
        yield Probe(method, plain, dict.fromkeys(_HEADERS, bait))
        if body is not None:
            kind, example = body
            for filled in (
                bait,
                *({**example, name: value} for name, value in _fields(example, bait)),
            ):
                yield Probe(method, plain, {"Content-Type": kind}, json.dumps(filled).encode())


def _filled(
    method: str, path: str, plain: str, parameter: dict[str, Any], bait: str
) -> Iterator[Probe]:
    name = parameter["name"]
    if parameter["in"] == "query":
        yield Probe(method, f"{plain}?{urlencode({name: bait})}")
    elif parameter["in"] == "header":
        yield Probe(method, plain, {name: bait})
    else:
        for value in (bait, quote(bait, safe="")):
            filled = path.replace(f"{{{name}}}", value)
            yield Probe(method, filled.replace("{", "").replace("}", ""))


def _plain(path: str, parameters: list[dict[str, Any]]) -> str:
    for parameter in parameters:
        path = path.replace(f"{{{parameter['name']}}}", "v1")
    return path


def _body(document: dict[str, Any], operation: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The media type of a body and an object of all the fields that it may have."""
    content = operation.get("requestBody", {}).get("content", {})
    for kind, described in content.items():
        schema = _resolved(document, described.get("schema", {}))
        return kind, {
            name: _FILLED.get(_resolved(document, each).get("type", "string"), "v1")
            for name, each in schema.get("properties", {}).items()
        } or {"id": "v1", "title": "v1", "user_id": "u1", "video_id": "v1"}
    return None


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            schema = schema[choice][0]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _fields(example: dict[str, Any], bait: str) -> Iterator[tuple[str, Any]]:
    for name, value in example.items():
        yield name, [bait] if isinstance(value, list) else bait


def send(connection: HTTPConnection, probe: Probe, headers: Mapping[str, str]) -> tuple[int, str]:
    """The status and all that came back."""
    connection.request(probe.method, probe.target, probe.body, {**headers, **probe.headers})
    answer = connection.getresponse()
    return answer.status, f"{answer.headers}{answer.read().decode(errors='replace')}"
