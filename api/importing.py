"""The use case of an import over HTTP: lines as they arrive, a thousand in a transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from api.forgetting import Forgetting
from api.schemas_imports import ImportReport, LineError
from core.clock import Clock, utc_now
from core.errors import Interrupted, Unavailable
from core.types import Interaction, UserId
from ingest.event_files import event_reader
from ingest.feed import Feed, Item
from ingest.importer import Importer
from ingest.ports import InteractionStore, VideoStore
from ingest.readers.chunks import LINES_AT_ONCE, RawLine, batches
from ingest.readers.ndjson_rows import NdjsonBatch
from ingest.readers.tables import feed
from ingest.report import Report
from ingest.video_files import video_of
from ingest.weights import WatchWeights


class Imports:
    """Reads NDJSON into the catalogue and the histories, with the importers' rules.

    What was committed before an error stays, and sending it again changes nothing.
    """

    def __init__(
        self,
        videos: VideoStore,
        interactions: InteractionStore,
        forgetting: Forgetting,
        *,
        weights: Callable[[], WatchWeights],
        clock: Clock = utc_now,
    ) -> None:
        self._videos = videos
        self._interactions = interactions
        self._forgetting = forgetting
        self._weights = weights
        self._clock = clock

    async def videos(self, pieces: AsyncIterator[bytes]) -> ImportReport:
        """Write the videos of a text. Raises `Interrupted`, and whatever `pieces` raises."""
        importer = self._importer()
        return await _import(
            pieces,
            lambda lines: feed(NdjsonBatch(lines), video_of),
            importer.videos,
            importer.report,
        )

    async def events(self, pieces: AsyncIterator[bytes]) -> ImportReport:
        """Write the watches and ratings of a text, and drop what was derived before.

        Raises:
            Interrupted: PostgreSQL went away; the message says how many lines are committed.
        """
        importer = self._importer()

        def read(lines: list[RawLine]) -> Feed[Interaction]:
            reader = event_reader(self._clock, self._weights)  # by now, line by line
            return feed(NdjsonBatch(lines), reader)

        return await _import(pieces, read, importer.interactions, importer.report)

    def _importer(self) -> Importer:
        return Importer(
            self._videos, self._interactions, _Dropping(self._forgetting), batch=LINES_AT_ONCE
        )


class _Dropping:
    """`ingest.ports.StateCache`: what cannot be dropped now is dropped later."""

    def __init__(self, forgetting: Forgetting) -> None:
        self._forgetting = forgetting

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        await self._forgetting.forget(revisions)


async def _import(
    pieces: AsyncIterator[bytes],
    read: Callable[[list[RawLine]], Feed[Item]],
    write: Callable[[Feed[Item]], Awaitable[None]],
    report: Report,
) -> ImportReport:
    committed = 0
    try:
        async for lines in batches(pieces):
            await write(await asyncio.to_thread(_parsed, read, lines))
            committed = lines[-1][0]
    except Unavailable as error:
        raise Interrupted(error.dependency, _left_off(committed)) from error
    return ImportReport(
        accepted=report.accepted,
        duplicates=report.duplicates,
        rejected=report.rejected,
        errors=[LineError(reject.line, reject.reason) for reject in report.errors],
    )


def _parsed(read: Callable[[list[RawLine]], Feed[Item]], lines: list[RawLine]) -> Feed[Item]:
    """A feed whose rows are made: that of a thousand lines would hold up other requests."""
    rows = read(lines)
    return Feed(rows.file, list(rows.items), rows.fraction)


def _left_off(committed: int) -> str:
    if not committed:
        return "Something this needs does not answer: no line is committed. Send all again later."
    return (
        f"Something this needs went away: the first {committed:,} lines are committed. "
        "Send all or the others again later; what is there already counts as duplicates."
    )
