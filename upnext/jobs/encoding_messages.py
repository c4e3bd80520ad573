"""What an encoding process says on its stdout: one JSON object a line."""

import msgspec

from core.types import Progress


class Telling(msgspec.Struct, frozen=True, tag="telling"):
    """It is so far."""

    progress: Progress


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It has ended well: texts that were encoded, and by version the videos that it took in."""

    encoded: int
    added: dict[str, int]


class Away(msgspec.Struct, frozen=True, tag="away"):
    """It cannot go on before a dependency is back, or another has published."""

    dependency: str
    message: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It has ended; the sentence says why and what to do."""

    error: str


Said = Telling | Done | Away | Failed
