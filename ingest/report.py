"""What an import did, and where each failed line is."""

import msgspec

KEPT_REJECTS = 100
ERASED_WARNING = "What is of users who were erased was left out, and counts as rejected."


class Reject(msgspec.Struct, frozen=True):
    """A line that was left out. `line` counts from 1; in a Parquet file it is the row."""

    file: str
    line: int
    reason: str


class Counts(msgspec.Struct):
    """How many rows were new or changed, known already, or refused."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


class Report(msgspec.Struct):
    """The summary of an import: totals, videos and interactions apart, the first 100 rejects.

    `warnings` are sentences for a person about what did not go as it should without harm to the
    data.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    videos: Counts = msgspec.field(default_factory=Counts)
    interactions: Counts = msgspec.field(default_factory=Counts)
    errors: list[Reject] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)

    def add(self, part: Counts, accepted: int, duplicates: int) -> None:
        """Count one written batch in `part`, one of this report's, and in the totals."""
        for counts in (self, part):
            counts.accepted += accepted
            counts.duplicates += duplicates

    def reject(self, part: Counts, reject: Reject) -> None:
        """Count a refused line; the first 100 are kept with their reasons."""
        self.rejected += 1
        part.rejected += 1
        if len(self.errors) < KEPT_REJECTS:
            self.errors.append(reject)

    def leave_out(self, part: Counts, erased: int) -> None:
        """Count rows of users who were erased: they are refused, whatever their line says."""
        if erased:
            self.rejected += erased
            part.rejected += erased
            self.warn(ERASED_WARNING)

    def warn(self, sentence: str) -> None:
        """Keep a warning once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)
