"""Processes by pid and creation time: a pid alone may have passed to somebody else."""

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

# The kernel's start times are exact, but a corrected clock moves the whole scale a little.
SAME_CREATION_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: its pid and when it was created, in seconds since the epoch."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of a running process. Raises `psutil.NoSuchProcess`."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def own(cls) -> Self:
        """This process."""
        return cls.of(os.getpid())

    def process(self) -> psutil.Process | None:
        """The process if it still runs; None when it has ended or the pid is another's now."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < SAME_CREATION_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None

    def end(self, wish: signal.Signals, seconds: float) -> None:
        """Ask it to stop, wait, and kill it when it has not; nothing if it has already ended."""
        if (process := self.process()) is not None:
            end_process(process, wish, seconds)


def end_process(process: psutil.Process, wish: signal.Signals, seconds: float) -> None:
    """Send `wish`, wait at most `seconds` for it and its children, then SIGKILL what is left."""
    try:
        family = [process, *process.children(recursive=True)]
        process.send_signal(wish)
    except psutil.NoSuchProcess:
        return
    _, left = psutil.wait_procs(family, seconds)
    for member in left:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(left, seconds)


@dataclass(frozen=True, slots=True)
class Record:
    """What a home remembers of a server: who runs it, for whom, and its folder of sockets."""

    server: Identity
    owner: Identity
    folder: str | None

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        write_private(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record at `path`; None when there is none, or none that can be read."""
        try:
            fields: dict[str, Any] = json.loads(path.read_text())
            return cls(
                Identity(**fields["server"]), Identity(**fields["owner"]), fields.get("folder")
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
