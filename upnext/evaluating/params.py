"""Hyper-parameters that a person gives, in a file."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from core.errors import InvalidInput
from ingest.readers.lines import require


def read_params(path: Path) -> dict[str, Any]:
    """The hyper-parameters of a file of JSON, or TOML where its name says so.

    Raises:
        SetupError: there is no such file.
        InvalidInput: it is something else.
    """
    require(path, "hyper-parameters as a JSON object or TOML")
    try:
        if path.suffix.lower() == ".toml":
            return tomllib.loads(path.read_text(encoding="utf-8"))
        read: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f'{path} is no JSON object, or TOML, of hyper-parameters like {{"factors": 64}}: '
            f"{error}",
            field="params",
        ) from error
    return read
