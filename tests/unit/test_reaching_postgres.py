"""What both drivers are told of TLS and of passwords, by the URL and the settings."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from core.access import PLAIN, Access, Files
from core.errors import SetupError
from core.secrets import SecretFile
from storage.postgres.reaching import for_asyncpg, for_libpq, libpq_url, parsed

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    ours = authority.issue_cert("upnext")
    ours.private_key_pem.write_to_path(folder / "key.pem")
    ours.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return Files(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


def both(url: str, how: Access = PLAIN) -> tuple[dict[str, Any], dict[str, str]]:
    parts = parsed(url)
    return for_asyncpg(parts, how), for_libpq(parts, how)


def test_urls_are_as_libpq_wants_them() -> None:
    url = "postgresql://u:p%40ss@db.example/upnext?ssl=require"
    assert libpq_url(parsed(url)) == "postgresql://u:p%40ss@db.example/upnext"
    assert libpq_url(parsed("postgres://u@/x?host=/run")) == "postgresql://u@/x?host=%2Frun"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
@pytest.mark.parametrize("name", ["sslmode", "ssl"])
def test_modes_that_check_nothing_are_the_drivers_own(mode: str, name: str) -> None:
    url = f"postgresql://db/upnext?{name}={mode}"
    assert both(url) == ({"ssl": mode}, {"sslmode": mode})


def test_without_a_word_of_tls_the_drivers_do_as_ever() -> None:
    assert both("postgresql://db/upnext") == ({}, {})


@pytest.mark.parametrize(
    ("mode", "names"), [("", True), ("verify-full", True), ("verify-ca", False), ("require", False)]
)
def test_authorities_are_there_to_be_checked_by(mode: str, names: bool, files: Files) -> None:  # noqa: FBT001
    url = "postgresql://db/upnext" + (f"?sslmode={mode}" if mode else "")
    driver, libpq = both(url, Access(tls=Files(files.ca_file)))
    assert driver["ssl"].verify_mode == ssl.CERT_REQUIRED
    assert driver["ssl"].check_hostname is names
    assert libpq == {"sslmode": mode or "verify-full", "sslrootcert": str(files.ca_file)}


@pytest.mark.parametrize("mode", ["disable", "prefer"])
def test_authorities_change_nothing_of_what_the_url_says(mode: str, files: Files) -> None:
    url = f"postgresql://db/upnext?sslmode={mode}"
    driver, libpq = both(url, Access(tls=Files(files.ca_file)))
    assert (driver, libpq["sslmode"]) == ({"ssl": mode}, mode)


def test_a_socket_in_the_file_system_is_not_encrypted(files: Files) -> None:
    url = "postgresql://u@/x?host=/run/postgresql"
    driver, libpq = both(url, Access(tls=Files(files.ca_file)))
    assert "ssl" not in driver
    assert "sslmode" not in libpq


def test_our_certificate_is_shown_and_the_url_may_name_another(files: Files) -> None:
    driver, libpq = both("postgresql://db/upnext", Access(tls=files))
    assert isinstance(driver["ssl"], ssl.SSLContext)
    assert (libpq["sslcert"], libpq["sslkey"]) == (
        str(files.certificate_file),
        str(files.key_file),
    )
    url = "postgresql://db/upnext?sslrootcert=/another/ca&sslcert=/another/cert&sslkey=/another/key"
    named = for_libpq(parsed(url), Access(tls=files))
    assert named == {
        "sslmode": "verify-full",
        "sslrootcert": "/another/ca",
        "sslcert": "/another/cert",
        "sslkey": "/another/key",
    }


def test_the_systems_authorities_are_named_for_libpq_too() -> None:
    driver, libpq = both("postgresql://db/upnext?sslmode=verify-full&sslrootcert=system")
    assert driver["ssl"].check_hostname
    assert libpq["sslrootcert"] == (ssl.get_default_verify_paths().cafile or "system")


def test_a_password_is_what_the_file_holds_now(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one\n")
    how = Access(SecretFile(file, "UPNEXT_POSTGRES_PASSWORD_FILE"))
    assert both("postgresql://u@db/upnext", how) == ({"password": "one"}, {"password": "one"})
    file.write_text("two\n")
    assert both("postgresql://u@db/upnext", how) == ({"password": "two"}, {"password": "two"})


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(SetupError, match=r"UPNEXT_POSTGRES_READ_URL.*verify-full"):
        parsed("postgresql://u@db/upnext?sslmode=verify", "UPNEXT_POSTGRES_READ_URL")
