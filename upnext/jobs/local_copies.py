"""This machine's copies of versions, for jobs: opened, and deleted where nobody serves."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from core.settings import Settings
from core.types import Model
from embeddings.version import Version, keep_versions, open_version
from storage.artifacts import artifact_store


def copies(settings: Settings) -> Path:
    """The folder of the copies, which all processes of this home share."""
    return settings.home / "versions"


def open_copy(settings: Settings, version: str) -> Version:
    """An open version, fetched when it is not here; see `open_version`. Blocking."""
    return open_version(artifact_store(settings), version, copies(settings))


async def forget_old_copies(settings: Settings, openable: Sequence[Model]) -> None:
    """Delete this machine's copies of versions that replicas do not keep open any more."""
    kept = [model.version for model in openable]
    await asyncio.to_thread(keep_versions, copies(settings), kept)
