"""The running service of a home, asked over HTTP by other commands."""

from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from api.problems import Problem
from core.errors import Unavailable, UpnextError, VideoNotFound
from core.settings import Settings
from core.tls import trouble
from upnext.certificate import own
from upnext.tokens import make_token

TIMEOUT_SECONDS = 10.0
TOKEN_LIFE = timedelta(minutes=5)
OK = 200

T = TypeVar("T")


def fetch(
    settings: Settings,
    address: str,
    path: tuple[str, ...],
    query: Mapping[str, object],
    form: type[T],
) -> T:
    """GET a path of the service at `address` as an administrator, in the `form` of its body.

    A list in `query` is sent as its parameter again and again.

    Raises:
        VideoNotFound: the service says so.
        Unavailable: it does not answer.
        UpnextError: it refuses for another reason; the message is the service's own.
    """
    token = make_token(settings, "upnext", ("admin",), TOKEN_LIFE)
    target = (
        "/" + "/".join(quote(part, safe="") for part in path) + "?" + urlencode(query, doseq=True)
    )
    try:
        connection = _connection(settings, address)
    except OSError as error:
        raise Unavailable("service", f"{address} cannot be trusted: {error}") from error
    try:
        connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        said = trouble(error) or "it does not answer"
        raise Unavailable("service", f"The service at {address}: {said}.") from error
    finally:
        connection.close()
    if answer.status == OK:
        return msgspec.json.decode(body, type=form)
    problem = msgspec.json.decode(body, type=Problem)
    refusal = VideoNotFound if problem.code == VideoNotFound.code else UpnextError
    raise refusal(problem.detail)


def _connection(settings: Settings, address: str) -> HTTPConnection:
    """Nothing is sent yet. Raises `OSError`: a file of certificates cannot be read."""
    parts = urlsplit(address)
    if parts.scheme == "http":
        return HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    return HTTPSConnection(parts.netloc, timeout=TIMEOUT_SECONDS, context=own(settings))
