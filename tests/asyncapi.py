"""Messages held against the AsyncAPI document of the repository."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

FILE = Path(__file__).parents[1] / "contracts" / "asyncapi.json"


@cache
def document() -> dict[str, Any]:
    """As it is in the repository."""
    found: dict[str, Any] = msgspec.json.decode(FILE.read_bytes())
    return found


def complaints(address: str, payload: bytes) -> list[str]:
    """What is wrong with a message at that subject or topic; empty when nothing is."""
    [channel] = [each for each in document()["channels"].values() if each["address"] == address]
    [message] = channel["messages"]
    schema = document()["components"]["messages"][message]["payload"]
    validator = Draft202012Validator({**schema, "components": document()["components"]})
    return [error.message for error in validator.iter_errors(msgspec.json.decode(payload))]
