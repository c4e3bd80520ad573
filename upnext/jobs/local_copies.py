"""Local copies of versions, on machines that serve nobody and so would keep them for ever."""

import asyncio
from collections.abc import Sequence

from core.settings import Settings
from core.types import Model
from embeddings.version import keep_versions


async def forget_old_copies(settings: Settings, openable: Sequence[Model]) -> None:
    """Delete this machine's copies of versions that replicas do not keep open any more."""
    kept = [model.version for model in openable]
    await asyncio.to_thread(keep_versions, settings.home / "versions", kept)
