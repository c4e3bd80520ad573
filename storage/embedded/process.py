"""A child process with a log file: started, watched, stopped, and never left behind.

Children have process groups of their own, so that Ctrl-C in the terminal reaches `upnext` alone
and it stops them in order; when it dies without a word, the kernel stops them (on Linux).
"""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from core.errors import SetupError
from storage.embedded.privilege import child_setup

LOG_LIMIT_BYTES = 10_000_000
TAIL_BYTES = 4000
TAIL_LINES = 8
STOP_SECONDS = 4.0


class ChildProcess:
    """One child. Start it from a thread that outlives it (`privilege.die_with_parent`)."""

    def __init__(self, name: str, log: Path, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        self.process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def spawn(
        self,
        command: list[str],
        *,
        environment: Mapping[str, str] | None = None,
        account: pwd.struct_passwd | None = None,
        folder: str = "/",
    ) -> None:
        """Run a program in the foreground of a group of its own, its output in the log.

        Args:
            command: the program and its arguments.
            environment: None for ours.
            account: whom it runs as, None for ourselves.
            folder: its working directory.

        Raises:
            SetupError: it cannot be started here.
        """
        try:
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
                self.log.replace(self.log.with_suffix(".log.old"))
            with self.log.open("ab") as log:
                self._log_start = log.tell()
                self.process = subprocess.Popen(  # noqa: S603 - the command is ours
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=environment,
                    process_group=0,
                    preexec_fn=child_setup(self.stop_signal, account),  # noqa: PLW1509
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise SetupError(f"{self.name} cannot start: {error}.{advice(str(error))}") from error

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Begin an orderly stop without waiting for it."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop in order; after `seconds` by force, its own children included."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def failed(self, what: str) -> SetupError:
        """The error for a child that failed, with the end of its log since its start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read()[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()
        tail = "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
        return SetupError(f"{self.name} {what}.{advice(tail)} Its log is {self.log}:\n{tail}")


def stop_together(children: Collection[ChildProcess], seconds: float = STOP_SECONDS) -> None:
    """Ask all to stop, wait at most `seconds` for all of them, then force what is left."""
    deadline = time.monotonic() + seconds
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop(max(0.0, deadline - time.monotonic()))


def advice(text: str) -> str:
    """What a person can do about a failure that these words tell of; empty when we know nothing."""
    lowered = text.lower()
    if "no space left" in lowered:
        return " The disk is full: free some space and start again."
    if "address already in use" in lowered:
        return " Another program took its port: start again."
    if "permission denied" in lowered:
        return " It may not enter its folders: run as an ordinary user, or move UPNEXT_HOME."
    if "preexec_fn" in lowered:
        return " It may not change its user: run upnext as an ordinary user."
    return ""
