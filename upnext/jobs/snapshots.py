"""The catalogue in memory for a job: read once."""

import asyncio

from retrieval.build import Build
from retrieval.ports import CatalogueReader
from retrieval.snapshot import Snapshot


async def snapshot_of(videos: CatalogueReader) -> Snapshot:
    """All videos and their popularity as they are now. Raises `Unavailable`."""
    build = Build()
    async for page in videos.stream():
        await asyncio.to_thread(build.add, page)
    made = build.snapshot(await videos.popularity(None))
    await asyncio.to_thread(made.precompute)
    return made
