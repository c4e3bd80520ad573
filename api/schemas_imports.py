"""The body of an import's report."""

import msgspec


class LineError(msgspec.Struct, frozen=True):
    """A line that was left out, counted from 1, and why."""

    line: int
    reason: str


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines were new or changed something, were there already, or left out.

    `errors` are the first 100 that were left out.
    """

    accepted: int
    duplicates: int
    rejected: int
    errors: list[LineError]
