"""Keeps the versions open that a replica may be asked for, so that going live is one assignment."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import structlog

from core.errors import Unavailable
from core.types import Model
from retrieval.live import LiveHandle, LiveModel
from retrieval.outages import Outages
from retrieval.ports import ModelReader

OpenVersion = Callable[[Model], LiveHandle]  # blocking: it is called in a thread
RenewVersion = Callable[[LiveHandle], LiveHandle | None]  # blocking too; None: nothing is new
KeepVersions = Callable[[Collection[str]], None]  # blocking too: other local copies are deleted
Report = Callable[[Collection[str]], Awaitable[None]]

HEARTBEAT_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_BESIDE_SECONDS = 60.0
"""For a version that is not live: what is damaged may be large, and is fetched anew each time."""

_RENEWAL = "new videos"
"""The work of renewing; that of opening is named by the version."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Trouble:
    """Work that failed: the pause after the last attempt, and whether it goes on."""

    pause: float
    waits: bool = True


class VersionKeeper:
    """Three steps, to be repeated beside each other: `look`, `open_wanted`, `report`.

    `settled` is set once it has been found out which version is live and that one, if any, is
    open. A version that cannot be opened is tried again; what is open goes on meanwhile.
    """

    def __init__(
        self,
        *,
        live: LiveModel,
        models: ModelReader,
        open_version: OpenVersion,
        renew_version: RenewVersion,
        keep_versions: KeepVersions,
        report: Report,
        retry_seconds: float,
    ) -> None:
        self.settled = asyncio.Event()
        self._live = live
        self._models = models
        self._open_version = open_version
        self._renew_version = renew_version
        self._keep_versions = keep_versions
        self._report = report
        self._retry_seconds = retry_seconds
        self._outages = Outages()
        self._wanted: list[Model] = []
        self._troubles: dict[str, _Trouble] = {}
        self._kept: set[str] = set()
        self._due = asyncio.Event()
        self._renewal_due = False
        self._told = asyncio.Event()
        self._told.set()

    def renew(self) -> None:
        """What is open may have got new videos: look for them."""
        self._renewal_due = True
        self._due.set()

    async def look(self) -> None:
        """Learn which versions are wanted and which is live; flip when that one is open.

        The registry is asked itself, not the news of it: those wait for long transactions of
        others, and going back must not.
        """
        wanted = await self._models.openable()
        if wanted != self._wanted:
            self._wanted = wanted
            if wanted and wanted[0].version in self._troubles:  # it may be live only now
                self._troubles[wanted[0].version].waits = False
            self._due.set()
        self._flip()

    async def open_wanted(self) -> None:
        """Wait until something is due, then open what is wanted, the live version first."""
        await self._due.wait()
        self._due.clear()  # first, so that news which comes meanwhile is not lost
        try:
            while (model := self._next()) is not None:
                await self._open(model)
            if self._renewal_due and self._may_try(_RENEWAL):
                await self._renew_all()
            await self._close_others()
        except Exception:
            self._due.set()
            raise

    async def report(self) -> None:
        """Tell what is open: when it has changed, and now and then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._told.wait()
        self._told.clear()
        try:
            await self._report([handle.version for handle in self._live.open_versions()])
        except Exception:
            self._told.set()
            raise

    def _flip(self) -> None:
        model = next((model for model in self._wanted if model.status == "live"), None)
        handle = self._live.get(model.version) if model else None
        if model is not None and handle is None:
            if self._live.current is None and self._live.missing is None:
                self._live.missing = "artifacts"  # they are being waited for
            return
        if handle is not None and handle is not self._live.current:
            _log.info("Serving a version.", version=handle.version)
        self._live.swap(handle)
        self.settled.set()

    def _next(self) -> Model | None:
        for model in self._wanted:
            if self._live.get(model.version) is None and self._may_try(model.version):
                return model
        return None

    async def _open(self, model: Model) -> None:
        try:
            handle = await asyncio.to_thread(self._open_version, model)
        except Exception as error:  # noqa: BLE001  (whatever it is, the others are opened)
            live = model.status == "live"
            if live:
                away = error.dependency if isinstance(error, Unavailable) else "artifacts"
                self._live.missing = away
            longest = LONGEST_PAUSE_SECONDS if live else LONGEST_PAUSE_BESIDE_SECONDS
            self._failed(model.version, error, longest)
            return
        self._over(model.version)
        self._live.add(handle)
        self._renewal_due = self._renewal_due or handle.behind
        self._told.set()
        self._flip()

    async def _renew_all(self) -> None:
        self._renewal_due = False
        try:
            for handle in self._live.open_versions():
                newer = await asyncio.to_thread(self._renew_version, handle)
                if newer is not None:
                    self._live.add(newer)
        except Exception as error:  # noqa: BLE001  (whatever it is, what is open goes on)
            self._renewal_due = True
            self._failed(_RENEWAL, error, LONGEST_PAUSE_SECONDS)
        else:
            self._over(_RENEWAL)

    def _may_try(self, work: str) -> bool:
        trouble = self._troubles.get(work)
        return trouble is None or not trouble.waits

    def _failed(self, work: str, error: Exception, longest: float) -> None:
        """Try again after a pause, which grows."""
        self._outages.failed(work, error)
        before = self._troubles.get(work)
        pause = min(before.pause * 2, longest) if before else self._retry_seconds
        self._troubles[work] = trouble = _Trouble(pause)
        asyncio.get_running_loop().call_later(pause, self._again, trouble)

    def _again(self, trouble: _Trouble) -> None:
        trouble.waits = False
        self._due.set()

    def _over(self, work: str) -> None:
        if self._troubles.pop(work, None):
            self._outages.succeeded(work)

    async def _close_others(self) -> None:
        wanted = {model.version for model in self._wanted}
        for work in self._troubles.keys() - wanted - {_RENEWAL}:
            self._over(work)
        if self._live.keep(wanted):
            self._told.set()
        kept = wanted | {handle.version for handle in self._live.open_versions()}
        if kept and kept != self._kept:
            await asyncio.to_thread(self._keep_versions, kept)
            self._kept = kept
