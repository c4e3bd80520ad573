"""How the serving processes leave: the main one is told, waits, and stops them.

SIGTERM to the main process begins the drain: it tells its workers, which are not ready from then
on and end connections as they answer, waits as long as is set, and then stops them as ever: the
port is closed, and what is under way has as long again to be answered. SIGINT does not wait, also
in the middle. A worker that is replaced, the port staying open, only ends its connections before.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import ceil
from types import FrameType
from typing import Any

import psutil
import structlog
from granian.server.mp import MPServer

DRAIN = signal.SIGUSR1
PART = signal.SIGUSR2
"""What the main process tells its workers with."""
REPEAT_SECONDS = 0.2
START_SECONDS = 60.0
"""After so long a worker is stopped though its successor does not answer."""

log = structlog.get_logger(__name__)


class DrainingServer(MPServer):
    """granian's server, which drains its workers before it stops them."""

    def __init__(self, target: str, *, drain_seconds: float, **options: Any) -> None:  # noqa: ANN401
        """Make one.

        Args:
            target: the application's factory.
            drain_seconds: from SIGTERM until the workers are stopped.
            options: granian's own.
        """
        super().__init__(target, **options)
        self._drain_seconds = drain_seconds
        self._told: int | None = None
        self._at_once = threading.Event()

    def startup(self, spawn_target: Any, target_loader: Any) -> None:  # noqa: ANN401 - as there
        """Start the workers, which survive what they do not listen to yet."""
        for number in (DRAIN, PART):
            signal.signal(number, signal.SIG_IGN)
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    def signal_handler_interrupt(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT came."""
        self._told = self._told or number
        if number == signal.SIGINT:
            self._at_once.set()
        super().signal_handler_interrupt(number, frame)  # type: ignore[no-untyped-call]

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers, after the drain if that is asked for."""
        if self._told == signal.SIGTERM and self._drain_seconds > 0:
            log.info("Draining before the API stops.", seconds=self._drain_seconds)
            self.workers_kill_timeout = max(
                self.workers_kill_timeout or 0, ceil(self._drain_seconds)
            )
            self._drain()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def _drain(self) -> None:
        """Tell the workers again and again: one that is just starting cannot hear it yet."""
        end = time.monotonic() + self._drain_seconds
        while (left := end - time.monotonic()) > 0:
            _tell(self.wrks, DRAIN)
            if self._at_once.wait(min(REPEAT_SECONDS, left)):
                return

    def _respawn_workers(
        self,
        workers: list[int],
        spawn_target: Any,  # noqa: ANN401 - as there
        target_loader: Any,  # noqa: ANN401 - as there
        delay: float = 0,
    ) -> None:
        """Put others in the place of these. One that lives is stopped when its successor answers.

        granian itself stops it after `delay` seconds, though on a busy machine the successor may
        take longer. Here these are for callers to leave in.
        """
        for each in workers:
            self.respawned_wrks[each] = time.monotonic()
            old: Any = self.wrks[each]
            new: Any = self._spawn_worker(each, spawn_target, target_loader)
            new.start()
            self.wrks[each] = new
            if old.is_alive():
                self._until_it_listens(new)
                _tell([old], PART)
                self._at_once.wait(delay)
            if self._told is not None:
                self.wrks.append(old)  # it leaves with the others
                return
            old.terminate()
            old.join(self.workers_kill_timeout)
            if old.is_alive():
                old.kill()
                old.join()

    def _until_it_listens(self, worker: Any) -> None:  # noqa: ANN401 - granian has no types of it
        end = time.monotonic() + START_SECONDS
        while worker.is_alive() and self._told is None and time.monotonic() < end:
            if listens(worker.inner.pid, self.bind_port):
                return
            self._at_once.wait(REPEAT_SECONDS)


def listens(pid: int, port: int) -> bool:
    """Whether a process accepts connections at a port."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False  # it has ended
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found)


def _tell(workers: Iterable[Any], what: signal.Signals) -> None:
    for worker in workers:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(worker.inner.pid, what)


def listen(begin: Callable[[], None], part: Callable[[], None]) -> None:
    """In a worker, in its event loop: have it leave when the main process says so, and how."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(DRAIN, begin)
    loop.add_signal_handler(PART, part)
