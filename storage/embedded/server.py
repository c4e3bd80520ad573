"""A server of a home: one child process with data, an address and a record of who started it."""

import shutil
import signal
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from core.errors import SetupError
from storage.embedded.identity import Identity, Record
from storage.embedded.privilege import unprivileged_account
from storage.embedded.process import STOP_SECONDS, ChildProcess, advice

FOLDER_PREFIX = "upnext-"
LONGEST_FOLDER = 80  # a socket's path ends at 103 bytes on macOS, 107 on Linux
POLL_SECONDS = 0.02


class EmbeddedServer(ChildProcess, ABC):
    """One server: data in `home/<title>`, log in `home/logs`, its record in `home/run`.

    A home's server runs once: `launch` ends what a killed owner left behind and refuses when
    the owner is alive.
    """

    title: ClassVar[str]
    stops_on: ClassVar[signal.Signals] = signal.SIGTERM
    ready_seconds: ClassVar[float] = 30.0
    refuses_root: ClassVar[bool] = False

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        super().__init__(self.title, self.home / "logs" / f"{self.title}.log", self.stops_on)
        self.data = self.home / self.title
        self.record = self.home / "run" / f"{self.title}.json"
        self.folder: Path | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it; does not change over a restart by the same owner."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves requests now, asked in its own protocol."""

    def prepare(self) -> None:
        """Make the data folder."""
        self.data.mkdir(mode=0o700, exist_ok=True)

    def end_leftovers(self) -> None:
        """End what an owner that was killed left behind.

        Raises:
            SetupError: the owner is alive and not this process.
        """
        record = Record.read(self.record)
        if record is None:
            return
        if record.owner.alive and record.owner != Identity.own() and record.server.alive:
            raise SetupError(
                f"{self.name} of {self.home} is in use by process {record.owner.pid}: "
                f"stop that first, or choose another UPNEXT_HOME."
            )
        record.server.end(self.stop_signal, STOP_SECONDS)
        if record.folder is not None:
            _remove(Path(record.folder))
        self.record.unlink()

    def launch(self) -> None:
        """Start the process; `wait_ready` says when it can be used.

        Raises:
            SetupError: it cannot be started here.
        """
        try:
            for folder in (self.home, self.record.parent, self.log.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.process is None:
                self.end_leftovers()
            self.prepare()
        except OSError as error:
            raise SetupError(f"{self.name} cannot start: {error}.{advice(str(error))}") from error
        self.spawn(self.command(), account=unprivileged_account() if self.refuses_root else None)
        if self.process is not None:
            folder_name = str(self.folder) if self.folder else None
            Record(Identity.of(self.process.pid), Identity.own(), folder_name).write(self.record)

    def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            SetupError: it ended, or did not answer in time; the message has the log's end.
        """
        deadline = time.monotonic() + self.ready_seconds
        while not self.answers():
            if not self.alive:
                raise self.failed("ended at its start")
            if time.monotonic() > deadline:
                raise self.failed(f"did not answer within {self.ready_seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop in order, after `seconds` by force; leaves its data and its log."""
        if self.process is not None:
            super().stop(seconds)
            self.record.unlink(missing_ok=True)
        if self.folder is not None:
            _remove(self.folder)
            self.folder = None

    def private_folder(self) -> Path:
        """A short folder in the temporary directory for sockets, remembered by the record."""
        if self.folder is None:
            base = tempfile.gettempdir()
            short = base if len(base) <= LONGEST_FOLDER - len(FOLDER_PREFIX) - 8 else "/tmp"  # noqa: S108
            self.folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=short))
        return self.folder


def _remove(folder: Path) -> None:
    """Remove a folder of sockets; a name that is not ours is left alone."""
    if folder.name.startswith(FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
