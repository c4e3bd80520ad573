"""What `upnext doctor` looks at, each as one finding: fine or not, and what to do."""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from core.clock import utc_now
from core.errors import UpnextError
from core.settings import Settings, strays
from embeddings.version import vector_bytes
from storage import diagnosis
from storage.artifacts import artifact_store
from storage.embedded.milvus import LITE_VIDEOS
from storage.postgres import migrate
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.read_replica import NAME as READ
from storage.postgres.videos import PostgresVideos
from upnext.home import FREE_BYTES, Home

ANSWER_SECONDS = 10.0
NEWEST_PYTHON = (3, 14)
Ask = Callable[[Settings], Awaitable[str]]
VERSIONS: dict[str, tuple[Ask, str]] = {
    "postgres": (diagnosis.postgres_version, "Start it, or correct UPNEXT_POSTGRES_URL."),
    "redis": (diagnosis.redis_version, "Start it, or correct UPNEXT_REDIS_URL."),
    "milvus": (diagnosis.milvus_version, "Start it, or correct UPNEXT_MILVUS_URI."),
    "bus": (diagnosis.bus_version, "Start it with JetStream, or correct UPNEXT_BUS_URL."),
    "artifacts": (diagnosis.artifacts_version, "Correct UPNEXT_ARTIFACTS_URL or its access."),
}

REPLICA: tuple[Ask, str] = (
    diagnosis.replica_distance,
    "Start it, or correct or unset UPNEXT_POSTGRES_READ_URL: until then the primary reads.",
)


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `advice` says what to do when it is not fine."""

    name: str
    fine: bool
    detail: str
    advice: str = ""


def machine(home: Home) -> Iterator[Finding]:
    """This machine: Python, the disk, and variables that are no settings."""
    version = sys.version.split()[0]
    known = sys.version_info[:2] <= NEWEST_PYTHON
    yield Finding("python", known, version, "" if known else "Use Python 3.11 to 3.14.")
    home.make()
    free = shutil.disk_usage(home.path).free
    room = free >= FREE_BYTES
    advice = "" if room else "Free some space, or point UPNEXT_HOME elsewhere."
    yield Finding("disk", room, f"{free / 1e9:,.1f} GB free at {home.path}", advice)
    for stray in strays():
        yield Finding("settings", fine=False, detail=stray, advice="Correct or unset it.")


def dependencies(settings: Settings, *, lite: bool) -> Iterator[Finding]:
    """The servers, and what is in them when PostgreSQL answers.

    Args:
        settings: with every URL.
        lite: whether Milvus is the embedded one.
    """
    servers = asyncio.run(_versions(settings))
    yield from servers
    if servers[0].fine:
        revision = _revision(settings)
        yield revision
        if revision.fine:
            yield from asyncio.run(_contents(settings, lite=lite))


async def _versions(settings: Settings) -> list[Finding]:
    servers = VERSIONS if settings.postgres_read_url is None else VERSIONS | {READ: REPLICA}
    asked = (_version(settings, name, ask, how) for name, (ask, how) in servers.items())
    return list(await asyncio.gather(*asked))


async def _version(settings: Settings, name: str, ask: Ask, advice: str) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return Finding(name, fine=True, detail=await ask(settings))
    except TimeoutError:
        detail = f"no answer within {ANSWER_SECONDS:.0f} s"
        return Finding(name, fine=False, detail=detail, advice=advice)
    except UpnextError as error:
        return Finding(name, fine=False, detail=str(error), advice=advice)


def _revision(settings: Settings) -> Finding:
    found, wanted = migrate.current(settings), migrate.head()
    fine = found == wanted
    return Finding(
        "migrations",
        fine,
        f"at {found or 'none'}, wanted {wanted}",
        "" if fine else "Run `upnext migrate`.",
    )


async def _contents(settings: Settings, *, lite: bool) -> list[Finding]:
    async with pool(settings) as engine:
        videos = await PostgresVideos(engine).count()
        model = await PostgresModels(engine, utc_now).live()
    findings = [_catalogue(videos, lite=lite), _model(model.version if model else None)]
    return (
        [*findings, await asyncio.to_thread(_exact, settings, model.version)] if model else findings
    )


def _catalogue(videos: int, *, lite: bool) -> Finding:
    advice = ""
    if videos == 0:
        advice = "Import one: `upnext import --help`."
    elif lite and videos > LITE_VIDEOS:
        advice = (
            f"The embedded Milvus is right up to about {LITE_VIDEOS:,}: set UPNEXT_MILVUS_URI "
            f"to a Milvus server."
        )
    return Finding("catalogue", not advice, f"{videos:,} videos", advice)


def _model(version: str | None) -> Finding:
    if version is None:
        advice = "`upnext train als`, or `train content` while few have watched anything."
        return Finding("model", fine=False, detail="none is live", advice=advice)
    return Finding("model", fine=True, detail=f"{version} is live")


def _exact(settings: Settings, version: str) -> Finding:
    """Whether exact search may go through the vectors of this version."""
    name = "exact search"
    try:
        size = vector_bytes(artifact_store(settings), version)
    except UpnextError as error:
        return Finding(name, fine=False, detail=str(error), advice="See the artifacts above.")
    found = f"{size / 1e6:,.1f} MB of vectors, it takes up to {settings.exact_bytes / 1e6:,.1f} MB"
    if size <= settings.exact_bytes:
        return Finding(name, fine=True, detail=found)
    if settings.index == "milvus":
        return Finding(name, fine=True, detail=f"{found}: it cannot stand in for Milvus")
    advice = "Set UPNEXT_INDEX=milvus, or raise UPNEXT_EXACT_BYTES."
    return Finding(name, fine=False, detail=found, advice=advice)
