"""What a home needs before it can recommend: a catalogue and a model.

Each step is the command that a person would use, in a process of its own: its memory is given
back, its progress is seen, and interrupting it is safe since running it again is harmless.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import NotFound, SetupError, Unavailable
from core.settings import Settings, child_environment
from core.types import Model, ModelStatus, ModelType, UserId
from embeddings.manifest import OtherFormat, stored_manifest
from storage.artifacts import artifact_store
from storage.embedded.privilege import child_setup
from storage.model_status import STEPS
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from upnext.cli.console import console
from upnext.home import Home
from upnext.jobs.train import fail_orphans
from upnext.signals import Stop

STEP_STOP_SECONDS = 5.9  # with the servers' time below the 10 s that stopping may take
POLL_SECONDS = 0.1
# At first one of texts: it needs no history, and follows a user's first watches closely. Where
# texts say less than what is popular, one of what users watch together.
FIRST_TYPES: tuple[ModelType, ...] = ("content", "als")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is there: videos, the live model, a user to show a list of."""

    videos: int
    live: Model | None
    user: UserId | None


def inventory(settings: Settings) -> Inventory:
    """Look into the database. Raises `Unavailable`."""
    return asyncio.run(_inventory(settings))


async def _inventory(settings: Settings) -> Inventory:
    async with pool(settings, patient=True) as engine:
        videos = await PostgresVideos(engine).count()
        live = await PostgresModels(engine, utc_now).live()
        return Inventory(videos, live, await _first_user(engine))


async def _first_user(engine: AsyncEngine) -> UserId | None:
    pages = PostgresUsers(engine).stream()
    # A generator underneath: it holds a connection until it is closed.
    async with aclosing(cast(AsyncGenerator[Sequence[UserId], None], pages)):  # noqa: TC006
        async for page in pages:
            return page[0]
    return None


def fill(settings: Settings, stop: Stop) -> None:
    """Import the demo data into an empty catalogue, train a model when none is live.

    One that another release made and this one cannot open is as none.

    Raises:
        SetupError: a step failed; its own message is on stderr.
    """
    # The mark stays when the import is killed in its middle: what it left is no catalogue yet.
    # An import that ends well takes it away, this one or one of the user's own data.
    mark = Home(settings.home).demo_mark
    if inventory(settings).videos == 0 or mark.exists():
        mark.touch()
        _step(settings, stop, "import", "demo")
    there = inventory(settings)
    before = there.live
    if _serves(settings, before):
        return
    asyncio.run(_await_runs(settings, stop))
    if _version(inventory(settings)) == _version(there):  # no run under way has become live
        _train(settings, stop, (before.model_type,) if before else FIRST_TYPES)


def _train(settings: Settings, stop: Stop, types: Sequence[ModelType]) -> None:
    """Make a model live, of the first type that is good enough; without one lists are popular.

    Raises:
        SetupError: a run failed before any was rejected; its own message is on stderr.
    """
    for model_type in types:
        try:
            _step(settings, stop, "train", model_type, "--promote")
        except SetupError:
            if model_type == types[0] and not _was_rejected(settings, model_type):
                raise
            console.print(f"No {model_type} model goes live, for the reason above.")
        else:
            return
    console.print(
        "Starting without a model: lists are of popular, trending and new videos. When more was "
        "watched, `upnext train als --promote` makes one."
    )


def _was_rejected(settings: Settings, model_type: ModelType) -> bool:
    """Whether the newest run of a type ended at the gate."""
    return asyncio.run(_newest_status(settings, model_type)) == "rejected"


async def _newest_status(settings: Settings, model_type: ModelType) -> ModelStatus | None:
    async with pool(settings, patient=True) as engine:
        runs = await PostgresModels(engine, utc_now).find(model_type)
    return runs[0].status if runs else None


def _version(there: Inventory) -> str | None:
    return there.live.version if there.live else None


def _serves(settings: Settings, live: Model | None) -> bool:
    """Whether there is a live model, and of a format that this release reads."""
    if live is None:
        return False
    try:
        stored_manifest(artifact_store(settings), live.version)
    except OtherFormat as error:
        console.print(str(error))
        return False
    except (NotFound, Unavailable) as error:  # those who serve wait for it and say so
        console.print(f"The live version could not be looked at: {error}")
    return True


async def _await_runs(settings: Settings, stop: Stop) -> None:
    """Wait until no training run is under way: one killed elsewhere is given up after a minute."""
    async with pool(settings, patient=True) as engine:
        models, said = PostgresModels(engine, utc_now), False
        await fail_orphans(models)
        while any(model.status in STEPS for model in await models.find()):
            if not said:
                console.print("Waiting for a training run, at most a minute if it was killed ...")
            said = True
            stop.check()
            await asyncio.sleep(POLL_SECONDS)
            await fail_orphans(models)


def _step(settings: Settings, stop: Stop, *arguments: str) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "upnext", *arguments],
        env=child_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=child_setup(signal.SIGTERM),  # noqa: PLW1509
    )
    try:
        while (code := process.poll()) is None:
            stop.check()
            time.sleep(POLL_SECONDS)
    except BaseException:
        process.terminate()
        try:
            process.wait(STEP_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    if code:
        raise SetupError(
            f"`upnext {' '.join(arguments)}` failed, its reason is above. Mend that and run "
            f"`upnext up` again: it continues from there."
        )
