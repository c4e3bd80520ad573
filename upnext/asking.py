"""Whether a process of ours says that it is well, as a container's health check asks it.

The standard library's client alone: it is started anew every few seconds.
"""

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final

from core.errors import SetupError
from core.settings import Settings

SECONDS: Final = 4.0
LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it listens on


def ask_api(settings: Settings, path: str = "/health/live") -> None:
    """Ask the API that these settings describe. Raises `SetupError`: it is not well."""
    _ask(settings.host, settings.port, path, tls=settings.tls_certificate_file is not None)


def ask_worker(settings: Settings) -> None:
    """Ask the worker that these settings describe. Raises `SetupError`: it is not well."""
    if settings.worker_metrics_port is None:
        raise SetupError("A worker is asked at UPNEXT_WORKER_METRICS_PORT, which is not set.")
    _ask(settings.host, settings.worker_metrics_port, "/health/live", tls=False)


def _ask(host: str, port: int, path: str, *, tls: bool) -> None:
    address = LOOPBACK.get(host, host)
    try:
        connection = _connection(address, port, tls=tls)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        raise SetupError(
            f"Nobody answers at {address}, port {port}: {str(error) or type(error).__name__}."
        ) from error
    if status != 200:  # noqa: PLR2004 - OK
        raise SetupError(f"{path} at {address}, port {port}, answers {status}.")


def _connection(address: str, port: int, *, tls: bool) -> HTTPConnection:
    if not tls:
        return HTTPConnection(address, port, timeout=SECONDS)
    # The certificate has the name that callers use, not this address, and nothing secret is said.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(address, port, timeout=SECONDS, context=context)
