"""The HTTP API in worker processes of granian."""

import errno
import multiprocessing
import resource
import signal
import socket
from typing import Any

from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from core.errors import SetupError
from core.settings import Settings
from storage.embedded.privilege import die_with_parent
from upnext.exposing import measured

DRAIN_SECONDS = 3
BACKLOG = 4096
"""Connections that may wait to be accepted; Linux allows no more."""
CLIENTS = 8192
"""Connections that a worker keeps, idle ones included: with granian's own 512 a few idle gateways
would keep everybody else out."""
OTHER_FILES = 512
"""Of a worker: connections to stores, mapped files, sockets of the event loop."""
IDLE_MILLISECONDS = 75_000
"""How long a connection may be idle or a head incomplete. More than the minute after which load
balancers give a connection up: who closes first must not be the one that is asked."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first.

    The workers read their settings from the environment: it must hold those of `settings`.

    Raises:
        SetupError: the address is taken.
    """
    check_addresses(settings)
    with measured(settings):
        server("upnext.serve:application", settings).serve()


def server(application: str, settings: Settings) -> Any:  # noqa: ANN401 - granian chooses which
    """The server of an application, which is made in each worker by that function."""
    return Server(
        application,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=settings.workers,
        backlog=BACKLOG,
        backpressure=clients(),
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MILLISECONDS),
        workers_kill_timeout=DRAIN_SECONDS,
        respawn_failed_workers=True,
        log_level=LogLevels(settings.log_level),
    )


def clients() -> int:
    """How many connections a worker may keep: `CLIENTS`, or what the limit on open files allows.

    That limit is raised as far as needed and allowed, for this process and its workers.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = wanted if soft == resource.RLIM_INFINITY else soft
    return max(1, min(CLIENTS, most - OTHER_FILES))


def application() -> Any:  # noqa: ANN401 - an ASGI application, whichever it is
    """The application of one worker process, which ends when the main process is killed."""
    if (main := multiprocessing.parent_process()) is not None and main.pid is not None:
        die_with_parent(signal.SIGTERM, main.pid)
    from api.app import create_app  # noqa: PLC0415 - the main process needs none of it

    return create_app()


def check_addresses(settings: Settings) -> None:
    """As `check_address`, of all that is listened on."""
    check_address(settings.host, settings.port)
    if settings.metrics_port is not None:
        check_address(settings.host, settings.metrics_port)


def check_address(host: str, port: int) -> None:
    """See that nobody listens there; granian would quietly share the port.

    Raises:
        SetupError: somebody does, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupError(
                f"Port {port} of {host} is taken by another program: stop that, "
                f"or choose another with UPNEXT_PORT."
            ) from error
        raise SetupError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. "
            f"Correct UPNEXT_HOST and UPNEXT_PORT."
        ) from error
