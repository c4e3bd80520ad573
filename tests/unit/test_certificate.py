"""When the API's certificate expires, and that it is said once it has."""

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.metrics import CERTIFICATE_EXPIRY
from core.settings import load
from tests.certificates import Authority
from upnext.certificate import measure

pytestmark = pytest.mark.unit

DAY = 24 * 3600


def expiry_of(file: Path) -> float:
    measure(load({"tls_certificate_file": str(file)}))
    return float(CERTIFICATE_EXPIRY._value.get())


def test_the_first_of_a_chain_to_expire_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    valid, expired = authority.issue("valid"), authority.issue("expired", expired=True)
    with capture_logs() as logs:
        assert expiry_of(valid) > time.time() + DAY
    assert logs == []
    valid.write_bytes(valid.read_bytes() + expired.read_bytes())
    with capture_logs() as logs:
        assert expiry_of(valid) == pytest.approx(time.time() - DAY, abs=600)
    assert [line["event"] for line in logs] == ["The certificate of the API has expired: renew it."]


def test_one_that_cannot_be_read_here_does_not_keep_the_api_from_serving(tmp_path: Path) -> None:
    CERTIFICATE_EXPIRY.set(float("inf"))
    odd = tmp_path / "odd.pem"
    odd.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    with capture_logs() as logs:
        assert expiry_of(odd) == float("inf")
    expected = "When the certificate of the API expires is not known."
    assert [line["event"] for line in logs] == [expected]


def test_without_one_nothing_is_said() -> None:
    CERTIFICATE_EXPIRY.set(float("inf"))
    measure(load())
    assert CERTIFICATE_EXPIRY._value.get() == float("inf")
