"""The OpenAPI document in the repository; `make openapi` writes it anew.

`contracts/openapi.json` is what the application shows now. `contracts/released.json` is what it
showed when it was last released: `python -m tests.contract_http.snapshot released` copies the one
to the other. `contracts/breaks.txt` lists the breaking changes since then that are meant.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from api.openapi import document_of
from tests.contract_http.breaking import breaking_changes
from tests.contract_http.memory import served_in_memory

CONTRACTS = Path(__file__).parents[2] / "contracts"
CURRENT, RELEASED = CONTRACTS / "openapi.json", CONTRACTS / "released.json"
BREAKS = CONTRACTS / "breaks.txt"


def made() -> bytes:
    """The document as a file: indented, its keys in order, so that a change is easy to read."""
    shown = msgspec.json.encode(document_of(served_in_memory()), order="sorted")
    return msgspec.json.format(shown, indent=2) + b"\n"


def read(path: Path) -> dict[str, Any]:
    """A document of the repository."""
    document: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return document


def breaks() -> list[str]:
    """Breaking changes of what is shown now against what was released."""
    return breaking_changes(read(RELEASED), msgspec.json.decode(made()))


def meant() -> list[str]:
    """Breaking changes that somebody has declared."""
    lines = (line.strip() for line in BREAKS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def main(arguments: list[str]) -> None:
    """Write the current document, or with `released` say that it is released."""
    CURRENT.write_bytes(made())
    if arguments == ["released"]:
        RELEASED.write_bytes(CURRENT.read_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
