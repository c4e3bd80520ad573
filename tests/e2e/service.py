"""The service as its user meets it: the command line, the printed address, HTTP."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from core.cron import OFF
from tests.patience import PATIENT, variables
from tests.polling import eventually
from tests.ports import free_port
from upnext.client import Client

START_SECONDS = 600.0
"""With two trainings, by processes that get what others leave."""
UPNEXT = str(Path(sys.executable).with_name("upnext"))


class Service:
    """One `upnext up` of a home of its own."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = home
        self.port = port or free_port()
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "UPNEXT_HOME": str(home),
            "UPNEXT_PORT": str(self.port),
            "UPNEXT_WORKERS": "2",
            **variables(PATIENT),
            "UPNEXT_SCHEDULE_TRAINING": OFF,  # these tests may run at night
        }
        self.process: subprocess.Popen[str] | None = None
        self.output = ""
        self._printed = threading.Event()

    def start(self) -> None:
        """Start and wait for the printed curl."""
        self._printed.clear()
        self.output = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [UPNEXT, "up"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        if not self._printed.wait(START_SECONDS):
            raise AssertionError(f"no address after {START_SECONDS} s:\n{self.output}")
        if "curl" not in self.output:
            raise AssertionError(f"it ended before it was ready:\n{self.output}")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self.output += line
                if "curl" in line:
                    self._printed.set()
        self._printed.set()

    def stop(self, how: signal.Signals = signal.SIGINT) -> float:
        """Send the signal and wait for the end; returns the seconds it took."""
        assert self.process
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=40)
        return time.monotonic() - began

    def __enter__(self) -> Self:
        self.start()
        with self.client() as client:
            eventually(partial(_nothing_missing, client), seconds=60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process and self.process.poll() is None:
            self.stop()

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an `upnext` command in the same home."""
        done = subprocess.run(  # noqa: S603 - our own command
            [UPNEXT, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if check and done.returncode:
            raise AssertionError(f"upnext {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done

    def json(self, *arguments: str) -> Any:
        """The decoded output of an `upnext ... --json` command."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def client(self, sub: str = "ops", role: str = "admin") -> httpx.Client:
        """An HTTP client with a token of this home."""
        return httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {self.token(sub, role)}"},
            timeout=30,
        )

    def typed(self, sub: str = "ops", role: str = "admin") -> Client:
        """The typed client with such a token."""
        return Client(self.address, self.token(sub, role), timeout=30)

    def token(self, sub: str, role: str) -> str:
        """A token of this home."""
        return self.run("token", "--sub", sub, "--role", role).stdout.strip()

    @property
    def address(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.port}"

    def printed_curl(self) -> str:
        """The command that the start printed for pasting."""
        found = re.search(r"^\s*(curl .*)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]


def _nothing_missing(client: httpx.Client) -> bool:
    """Whether each process has opened the model, as far as some answers tell.

    A process that takes long to open it, on a busy machine, starts without.
    """
    new = {"Connection": "close"}
    answers = [client.get("/recs/nobody", headers=new) for _ in range(8)]
    return all(answer.json()["metadata"]["degraded"] == [] for answer in answers)
