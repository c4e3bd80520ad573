"""A server as a child process: started, asked whether it answers, stopped, cleaned up after.

Children have process groups of their own, so that Ctrl-C in the terminal reaches `upnext` alone
and it stops them in order; when it dies without a word, the kernel stops them (on Linux).
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from core.errors import SetupError
from storage.embedded.identity import Identity, Record
from storage.embedded.privilege import child_setup, unprivileged_account

FOLDER_PREFIX = "upnext-"
LONGEST_FOLDER = 80  # a socket's path ends at 103 bytes on macOS, 107 on Linux
LOG_LIMIT_BYTES = 10_000_000
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02


class EmbeddedServer(ABC):
    """One server of a home. Data in `home/<name>`, log in `home/logs`, its record in `home/run`.

    Start it from a thread that outlives it (`privilege.die_with_parent`). A home's server runs
    once: `launch` ends what a killed owner left behind and refuses when the owner is alive.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_seconds: ClassVar[float] = 30.0
    refuses_root: ClassVar[bool] = False

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.data = self.home / self.name
        self.log = self.home / "logs" / f"{self.name}.log"
        self.record = self.home / "run" / f"{self.name}.json"
        self.folder: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

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
        for folder in (self.home, self.record.parent, self.log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.process is None:
            self.end_leftovers()
        try:
            self.prepare()
            self.process = self.spawn(self.command())
        except OSError as error:
            raise SetupError(f"{self.name} cannot start: {error}.{_advice(str(error))}") from error
        except subprocess.SubprocessError as error:
            raise SetupError(
                f"{self.name} cannot start as an unprivileged user: {error} "
                f"Run upnext as an ordinary user."
            ) from error
        folder_name = str(self.folder) if self.folder else None
        Record(Identity.of(self.process.pid), Identity.own(), folder_name).write(self.record)

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Run a program the way the server runs: its user, its log, its end."""
        account = unprivileged_account() if self.refuses_root else None
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                process_group=0,
                preexec_fn=child_setup(self.stop_signal, account),  # noqa: PLW1509 - forks only
            )

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

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Begin an orderly stop without waiting for it."""
        if self.alive and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop in order, after `seconds` by force; leaves its data and its log."""
        if self.process is not None:
            self.ask_to_stop()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
            self.record.unlink(missing_ok=True)
        if self.folder is not None:
            _remove(self.folder)
            self.folder = None

    def failed(self, what: str) -> SetupError:
        """The error for a start that failed, with the end of the log."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read()[-4000:].decode(errors="replace").strip().splitlines()
        tail = "\n".join(f"  {line}" for line in lines[-8:])
        advice = _advice(tail)
        return SetupError(f"{self.name} {what}.{advice} Its log is {self.log}:\n{tail}")

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


def _advice(text: str) -> str:
    lowered = text.lower()
    if "no space left" in lowered:
        return " The disk is full: free some space and start again."
    if "address already in use" in lowered:
        return " Another program took its port: start again."
    if "permission denied" in lowered:
        return " It may not enter its folders: run as an ordinary user, or move UPNEXT_HOME."
    return ""
