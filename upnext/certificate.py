"""The API's own certificate: what it is served with, how it is renewed, who trusts it here."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography.x509 import load_pem_x509_certificates
from granian.constants import SSLProtocols

from core.access import Files, authorities, check_certificate
from core.clock import utc_now
from core.errors import SetupError
from core.settings import Settings

LOOK_SECONDS = 10.0
_VARIABLES: Final = ("UPNEXT_TLS_CERTIFICATE_FILE", "UPNEXT_TLS_KEY_FILE")
_MINIMUM: Final = {"1.2": SSLProtocols.tls12, "1.3": SSLProtocols.tls13}
_END: Final = "-----END CERTIFICATE-----"

_log = structlog.get_logger(__name__)


def scheme(settings: Settings) -> str:
    """What addresses of the API begin with."""
    return "http" if settings.tls_certificate_file is None else "https"


def check(settings: Settings) -> None:
    """See that the certificate, if there is one, can be served with. Raises `SetupError`."""
    if settings.tls_certificate_file is not None:
        check_certificate(settings.tls_certificate_file, settings.tls_key_file, _VARIABLES)
    elif settings.tls_key_file is not None:
        raise SetupError(f"{_VARIABLES[1]} is set without a certificate: set {_VARIABLES[0]} too.")


def options(settings: Settings) -> dict[str, Any]:
    """What granian is told of it."""
    pair = _pair(settings)
    if pair is None:
        return {}
    minimum = _MINIMUM[settings.tls_minimum]
    return {"ssl_cert": pair[0], "ssl_key": pair[1], "ssl_protocol_min": minimum}


def lasting(settings: Settings, told: tuple[Any, ...]) -> tuple[Any, ...]:
    """What granian tells its workers, with the paths as they were given.

    It follows links once, at its start: those of a mounted secret lead elsewhere after a renewal,
    and where they led before is gone.
    """
    pair = _pair(settings)
    return told if pair is None else (told[0], *(str(path.absolute()) for path in pair), *told[3:])


def measure(settings: Settings) -> None:
    """Say when the certificate expires that this process serves with, if there is one."""
    if settings.tls_certificate_file is None:
        return
    from core.metrics import CERTIFICATE_EXPIRY  # noqa: PLC0415 - the main process measures nothing

    # Those after the first lead to the authority: without them nobody trusts it either.
    pem = settings.tls_certificate_file.read_bytes()
    try:
        expiry = min(each.not_valid_after_utc for each in load_pem_x509_certificates(pem))
    except ValueError as error:  # it is read more strictly here than where it is served with
        _log.warning("When the certificate of the API expires is not known.", reason=str(error))
        return
    CERTIFICATE_EXPIRY.set(expiry.timestamp())
    if expiry <= utc_now():
        _log.warning("The certificate of the API has expired: renew it.", expiry=expiry.isoformat())


@contextmanager
def renewed(settings: Settings, reload: Callable[[], None]) -> Iterator[None]:
    """Look at the files for the time of the block; `reload` is called when they have changed.

    Not before certificate and key fit together: they may be written one after the other.
    """
    pair = _pair(settings)
    if pair is None:
        yield
        return
    end, files = threading.Event(), Files(None, *pair)
    before = files.state()  # here: what is wrong at the start ends the start, not the looking
    looking = threading.Thread(
        target=_look,
        args=(settings, files, before, reload, lambda: end.wait(LOOK_SECONDS)),
        name="certificate",
        daemon=True,
    )
    looking.start()
    try:
        yield
    finally:
        end.set()
        looking.join()


def _look(
    settings: Settings,
    files: Files,
    last: object,
    reload: Callable[[], None],
    ended: Callable[[], bool],
) -> None:
    refused = ""
    while not ended():
        try:
            state = files.state()
            if state == last:
                continue
            check(settings)
        except (OSError, SetupError) as error:
            if str(error) != refused:
                refused = str(error)
                _log.warning("The certificate of the API stays as it was.", reason=refused)
            continue
        last, refused = state, ""
        _log.info("The certificate of the API is renewed: workers start anew.")
        reload()


def own(settings: Settings) -> ssl.SSLContext:
    """TLS to our own service and to nobody else: whoever has this certificate, by any name.

    Where the settings do not say which it is, names and authorities decide as ever.

    Raises:
        OSError: a file cannot be read.
    """
    if settings.tls_certificate_file is None:
        return ssl.create_default_context(cafile=authorities(settings.ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # The first in the file is our own; those after it sign for others, too.
    first, end, _ = settings.tls_certificate_file.read_text().partition(_END)
    context.load_verify_locations(cadata=first + end)
    return context


def _pair(settings: Settings) -> tuple[Path, Path] | None:
    certificate = settings.tls_certificate_file
    return None if certificate is None else (certificate, settings.tls_key_file or certificate)
