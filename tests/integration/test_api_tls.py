"""The API over TLS: who trusts it, and how its certificate is renewed under it."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509 import load_pem_x509_certificate

from core.errors import SetupError, Unavailable
from core.settings import Settings
from tests.catalogues import video
from tests.certificates import Authority, mounted
from tests.measured import by_name
from tests.polling import eventually
from tests.served import Served, of_popular_lists, write_videos
from upnext.asking import ask_api
from upnext.serve import server
from upnext.service import fetch

pytestmark = pytest.mark.integration

LIST = ("recs", "tls-ann")


class Renewing(Served):
    """Looks at its certificate more often."""

    code = f"import upnext.certificate as own; own.LOOK_SECONDS = 0.1; {Served.code}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, authority: Authority) -> Settings:
    plain = of_popular_lists(database_url, redis_url, tmp_path)
    return plain.model_copy(
        update={
            "tls_certificate_file": mounted(tmp_path / "mounted", authority.issue()),
            "workers": 1,
        }
    )


@pytest.fixture
def served(settings: Settings) -> Iterator[Renewing]:
    write_videos(settings, [video(f"v{number}", "drama") for number in range(20)])
    with Renewing(settings) as server:
        yield server


def shown(settings: Settings) -> str:
    return ssl.get_server_certificate(("127.0.0.1", settings.port), timeout=30)


def ends(certificate: str) -> float:
    return load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()


def test_it_is_trusted_by_name_and_authority_and_renewed_in_service(
    served: Renewing, authority: Authority, tmp_path: Path
) -> None:
    settings = served.settings
    assert served.address == f"https://127.0.0.1:{settings.port}"
    trusting = ssl.create_default_context(cafile=authority.ca)
    assert httpx.get(f"{served.address}/health/ready", verify=trusting).status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{served.address}/health/ready")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{settings.port}/health/ready")

    ask_api(settings, "/health/ready")
    found = fetch(settings, served.address, LIST, {"limit": 5}, dict[str, Any])
    assert len(found["recommendations"]) == 5
    first = shown(settings)
    expiry = "upnext_certificate_expiry_timestamp_seconds"
    page = httpx.get(f"{served.address}/metrics", verify=trusting).text
    assert by_name(page)[expiry] == {(): ends(first)}
    mounted(tmp_path / "mounted", authority.ca)  # a certificate without its key
    mounted(tmp_path / "mounted", authority.issue())
    with httpx.Client(base_url=served.address, verify=trusting) as client:

        def renewed() -> bool:
            assert client.get("/health/live").status_code == 200
            return shown(settings) != first

        eventually(renewed, seconds=30)

    def trusted() -> bool:
        """The worker before it shows the certificate of before until its successor answers."""
        with suppress(Unavailable):
            return bool(fetch(settings, served.address, LIST, {"limit": 5}, dict[str, Any]))
        return False

    eventually(trusted, seconds=30)

    stranger = settings.model_copy(update={"tls_certificate_file": authority.issue("another")})
    with pytest.raises(Unavailable, match="not trusted"):
        fetch(stranger, served.address, LIST, {"limit": 5}, dict[str, Any])


@pytest.mark.parametrize(
    "given", [{"tls_key_file": "/no/key"}, {"tls_certificate_file": "/no/pem"}]
)
def test_what_cannot_be_served_with_stops_the_start(
    given: dict[str, str], settings: Settings
) -> None:
    chosen = {"tls_certificate_file": None, **{name: Path(path) for name, path in given.items()}}
    with pytest.raises(SetupError, match="UPNEXT_TLS_CERTIFICATE_FILE"):
        server("upnext.serve:application", settings.model_copy(update=chosen))
