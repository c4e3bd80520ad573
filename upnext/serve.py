"""The HTTP API in worker processes of granian."""

import errno
import multiprocessing
import resource
import signal
import socket
from functools import partial
from typing import Any

import structlog
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from core import logging
from core.errors import SetupError
from core.settings import Settings, load, strays
from storage.embedded.privilege import die_with_parent
from upnext import certificate
from upnext.exposing import measured
from upnext.leaving import DrainingServer, listen

log = structlog.get_logger(__name__)

STOP_SECONDS = 3
"""What requests under way have, once the port is closed."""
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
_LOGGING: dict[str, Any] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True, "handlers": []}},
}
"""What granian says goes the way of every line."""


def run(settings: Settings, application: str = "upnext.serve:application") -> None:
    """Serve an application until SIGTERM or SIGINT; requests in flight are answered first.

    After SIGTERM everything is answered for another `drain_seconds`.

    The workers read their settings from the environment: it must hold those of `settings`.

    Raises:
        SetupError: the address is taken, or the certificate cannot be used.
    """
    logging.take_over(settings)
    for stray in strays():
        log.warning(stray)
    check_addresses(settings)
    with measured(settings):
        serving = server(application, settings)
        with certificate.renewed(settings, serving.signal_handler_reload):
            serving.serve()


def server(application: str, settings: Settings) -> DrainingServer:
    """The server of an application, which is made in each worker by that function.

    Raises:
        SetupError: the certificate cannot be used.
    """
    certificate.check(settings)
    made = DrainingServer(
        application,
        drain_seconds=settings.drain_seconds,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=settings.workers,
        backlog=BACKLOG,
        backpressure=clients(),
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MILLISECONDS),
        workers_kill_timeout=STOP_SECONDS,
        respawn_failed_workers=True,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=_LOGGING,
        **certificate.options(settings),
    )
    made.ssl_ctx = certificate.lasting(settings, made.ssl_ctx)
    return made


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
    from api.draining import Draining  # noqa: PLC0415

    draining = Draining()
    try:
        app = create_app(draining)
        certificate.measure(load())
    except Exception as error:
        log.critical("This process cannot serve.", reason=str(error), exc_info=error)
        raise SystemExit(1) from error  # else its traceback goes past the log
    app.on_startup.append(partial(listen, draining.begin, draining.part))
    return app


def check_addresses(settings: Settings) -> None:
    """As `check_address`, of all that is listened on."""
    check_address(settings.host, settings.port)
    if settings.metrics_port is not None:
        if settings.metrics_port == settings.port:
            raise SetupError(
                "UPNEXT_METRICS_PORT and UPNEXT_PORT are the same: choose another, or unset it to "
                "have /metrics on the API's."
            )
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
