"""`upnext up`: everything on one machine, from an empty folder to an address that answers.

The order of starting is the order of need: servers, tables, data, model, worker and API; what was
started is stopped in the reverse order, whatever happens in between.
"""

import asyncio
import shutil
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import click

from core.access import authorities
from core.errors import SetupError
from core.settings import Settings, child_environment, give_children
from storage import bus
from storage.embedded.identity import Identity
from storage.embedded.milvus import LITE_VIDEOS
from storage.embedded.process import ChildProcess, stop_together
from storage.embedded.server import EmbeddedServer
from storage.embedded.stack import FIELDS, EmbeddedStack
from storage.postgres import migrate
from upnext import certificate
from upnext.asking import ask_api
from upnext.cli.console import console
from upnext.exposing import emptied
from upnext.first_start import fill, inventory
from upnext.home import FREE_BYTES, STARTED_BY_UP, Home, StackFile, complete, endpoints_of
from upnext.serve import check_address
from upnext.signals import Stop, stopped_once
from upnext.supervision import Member, Supervisor
from upnext.tokens import make_token

CHILD_STOP_SECONDS = 4.5  # with the servers' time below the 10 s that stopping may take
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
TOKEN_LIFETIME = timedelta(days=1)


def run(settings: Settings) -> bool:
    """Start everything, print how to use it, keep it running until told to stop.

    Returns:
        Whether it was ready before it was told to stop.

    Raises:
        SetupError: something could not be started, or not be kept alive; all is stopped.
    """
    with stopped_once() as stop:
        started = Up(settings, stop)
        try:
            with ExitStack() as running:
                started.start(running)
                started.watch()
        except BaseException:
            # Once a stop was asked for, whatever an interrupted driver makes of it is the stop.
            if not stop.asked:
                raise
            console.print("Stopped." if started.ready else "Stopped before it was ready.")
    return started.ready


class Up:
    """One start of a home; what it starts is registered with the caller's `ExitStack`."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self.stop = stop
        self.home = Home(settings.home)
        self.settings = settings
        self.servers: tuple[EmbeddedServer, ...] = ()
        self.members: tuple[Member, ...] = ()
        self.ready = False

    def start(self, running: ExitStack) -> None:
        """Everything until the address answers and is printed. Raises `SetupError`."""
        running.enter_context(self.home.lock(STARTED_BY_UP))
        self._check_machine()
        self._start_servers(running)
        migrate.upgrade(self.settings)
        asyncio.run(bus.setup(self.settings))
        self._publish()
        fill(self.settings, self.stop)
        self._start_processes(running)
        self._wait_ready()
        self._publish()
        self._greet()

    def watch(self) -> None:
        """Keep all alive until a signal raises. Raises `SetupError` when that fails."""
        servers = (Member(server, partial(_restart, server)) for server in self.servers)
        members = (*self.members, *servers)
        Supervisor(members, _say, restarted=self._publish).watch(self.stop)

    def _check_machine(self) -> None:
        free = shutil.disk_usage(self.home.path).free
        if free < FREE_BYTES:
            raise SetupError(
                f"Only {free / 1e6:,.0f} MB are free at {self.home.path}: free some space "
                f"({FREE_BYTES / 1e6:,.0f} MB are needed), or point UPNEXT_HOME elsewhere."
            )
        certificate.check(self.settings)
        check_address(self.settings.host, self.settings.port)

    def _start_servers(self, running: ExitStack) -> None:
        missing = [name for name, field in FIELDS.items() if getattr(self.settings, field) is None]
        began = time.monotonic()
        stack = running.enter_context(EmbeddedStack(self.home.path, missing))
        self.servers = tuple(stack.servers.values())
        self.settings = complete(self.settings, self.home, stack.endpoints)
        names = ", ".join(server.name for server in self.servers)
        if names:
            _say(f"Started {names} in {time.monotonic() - began:.1f} s")

    def _start_processes(self, running: ExitStack) -> None:
        give_children(emptied(self.settings))  # both measure there, and the API shows it
        worker, api = (
            ChildProcess(name, self.home.logs / f"{name}.log") for name in ("worker", "api")
        )
        self.members = (
            Member(worker, partial(self._spawn, worker, "worker"), needed=False),
            Member(api, partial(self._spawn, api, "serve")),
        )
        running.callback(stop_together, (api, worker), CHILD_STOP_SECONDS)
        for member in self.members:
            member.start()
        self._publish()

    def _spawn(self, child: ChildProcess, command: str) -> None:
        program = [sys.executable, "-m", "upnext", command]
        settings = self.settings.model_copy(update={"drain_seconds": 0.0})  # nobody else is left
        child.spawn(program, environment=child_environment(settings))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not _is_ready(self.settings):
            self.stop.check()
            for member in self.members:
                if not member.child.alive:
                    raise member.child.failed("ended at its start")
            if time.monotonic() > deadline:
                raise self.members[-1].child.failed(f"was not ready within {READY_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        self.ready = True

    def _publish(self) -> None:
        """Tell other commands what answers by now."""
        processes = (member.child.process for member in self.members)
        self.home.publish(
            StackFile(
                owner=Identity.own(),
                command=STARTED_BY_UP,
                secret=str(self.home.secret_file),
                endpoints=endpoints_of(self.settings),
                address=address_of(self.settings) if self.ready else None,
                children=tuple(Identity.of(each.pid) for each in processes if each is not None),
            )
        )

    def _greet(self) -> None:
        found = inventory(self.settings)
        token = make_token(self.settings, "upnext-up", ["service"], TOKEN_LIFETIME)
        address = address_of(self.settings)
        user = found.user or "somebody"
        ca_file = authorities(self.settings.ca_file) if address.startswith("https") else None
        trusted = "" if ca_file is None else f"--cacert {ca_file} "
        if found.videos > LITE_VIDEOS and "milvus" in (server.name for server in self.servers):
            _say(
                f"{found.videos:,} videos are more than the embedded Milvus is right for "
                f"(about {LITE_VIDEOS:,}): searches will be slow. Set UPNEXT_MILVUS_URI."
            )
        sent = f"{trusted}-H 'Authorization: Bearer {token}'"
        click.echo(
            f"\nUpnext answers at {address}\n\n"
            f"  curl {sent} '{address}/recs/{user}?limit=5'\n\n"
            f"Its documentation: {address}/docs. Its logs: {self.home.logs}\n"
            f"Stop it with Ctrl-C, or: kill {Identity.own().pid}"
        )


def address_of(settings: Settings) -> str:
    """Where a client on this machine reaches the API."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    named = f"[{host}]" if ":" in host else host
    return f"{certificate.scheme(settings)}://{named}:{settings.port}"


def _is_ready(settings: Settings) -> bool:
    try:
        ask_api(settings, "/health/ready")
    except SetupError:
        return False
    return True


def _restart(server: EmbeddedServer) -> None:
    server.launch()
    server.wait_ready()


def _say(line: str) -> None:
    console.print(line, markup=False)
