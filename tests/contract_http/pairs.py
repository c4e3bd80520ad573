"""Request and response pairs that a gateway relies on; docs/gateway.md has their form."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).parents[2] / "contracts" / "gateway"
SHAPES = "shapes"
FILES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != SHAPES)

Pair = dict[str, Any]
MakeToken = Callable[[str, list[str]], str]


def read(name: str) -> dict[str, Any]:
    """A file of pairs, or the shapes."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return content


def replay(client: httpx.Client, pair: Pair, make_token: MakeToken) -> list[str]:
    """Send a pair's request; what is wrong with the answer, empty when nothing is."""
    for _ in range(pair.get("times_before", 0)):
        client.send(_request(client, pair, make_token))
    answer = client.send(_request(client, pair, make_token))
    return [f"{pair['name']}: {fault}" for fault in _faults(pair["response"], answer)]


def _request(client: httpx.Client, pair: Pair, make_token: MakeToken) -> httpx.Request:
    asked = pair["request"]
    headers = dict(asked.get("headers", {}))
    who = pair.get("as")
    if who is not None:
        token = who if isinstance(who, str) else make_token(who["sub"], who["roles"])
        headers["Authorization"] = f"Bearer {token}"
    content = "x" * asked["text_of"] if "text_of" in asked else asked.get("text")
    return client.build_request(
        asked["method"],
        asked["path"],
        params=asked.get("query"),
        headers=headers,
        json=asked.get("json"),
        content=content,
    )


def _faults(expected: dict[str, Any], answer: httpx.Response) -> Iterator[str]:
    if answer.status_code != expected["status"]:
        yield f"status {answer.status_code}, not {expected['status']}: {answer.text[:300]}"
        return
    if "headers" in expected:
        yield from _unfit("header", expected["headers"], dict(answer.headers))
    if "body" in expected:
        yield from _unfit("body", expected["body"], answer.json())


def _unfit(what: str, schema: dict[str, Any], value: Any) -> Iterator[str]:
    registry = Registry().with_resource(SHAPES, DRAFT202012.create_resource(read(SHAPES)))
    for error in Draft202012Validator(schema, registry=registry).iter_errors(value):
        yield f"{what} {error.json_path}: {error.message[:300]}"
