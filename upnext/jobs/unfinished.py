"""How far runs that take long have come: kept on this machine until they end."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from shutil import rmtree

from core.settings import Settings


def kept_of(settings: Settings, model_id: str) -> Path:
    """The folder of a run; it is there once a fit has kept something."""
    return _folder(settings) / model_id


async def forget(settings: Settings, model_id: str) -> None:
    """Delete what a run kept: it has ended."""
    await asyncio.to_thread(rmtree, kept_of(settings, model_id), ignore_errors=True)


async def forget_others(settings: Settings, running: Collection[str]) -> None:
    """Delete what runs kept that are none of these: their worker was killed before they ended."""
    folder = _folder(settings)
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    for model_id in set(there).difference(running):
        await forget(settings, model_id)


def _folder(settings: Settings) -> Path:
    return settings.home / "unfinished"
