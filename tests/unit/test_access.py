"""Files of TLS: what is refused at the start, what is followed later, what is said of trouble."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from core.access import Files, access, check
from core.errors import SetupError
from core.settings import load
from core.tls import trouble
from storage.milvus import options_of
from tests.certificates import Authority, mounted

pytestmark = pytest.mark.unit


def encrypted() -> bytes:
    made = ec.generate_private_key(ec.SECP256R1())
    password = serialization.BestAvailableEncryption(b"hush")
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def test_one_authority_for_all_and_another_for_some(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    settings = load(
        {"ca_file": str(authority.ca), "bus_ca_file": str(other.ca), "artifacts_ca_file": "system"}
    )
    assert access(settings, "redis").tls.ca_file == authority.ca
    assert access(settings, "postgres_read").tls.ca_file == authority.ca
    assert access(settings, "bus").tls.ca_file == other.ca
    assert access(settings, "artifacts").tls.ca_file is None


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SetupError, match=f"UPNEXT_REDIS_CA_FILE names {file}"):
        access(load({"redis_ca_file": str(file)}), "redis")


def test_a_start_looks_at_all_that_is_given(authority: Authority, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    given = {"ca_file": str(authority.ca)}
    check(load(given))
    for name in ("jwt_ca_file", "client_certificate_file", "log_user_key_file"):
        with pytest.raises(SetupError, match=f"UPNEXT_{name.upper()}"):
            check(load({**given, name: nowhere}))


@pytest.mark.parametrize("key", ["another", "none", "absent", "encrypted"])
def test_a_certificate_needs_its_key(key: str, authority: Authority, tmp_path: Path) -> None:
    ours, another = authority.issue("client"), authority.issue("another")
    given = {"client_certificate_file": str(ours)}
    if key == "another":
        given["client_key_file"] = str(another)
    elif key == "absent":
        given["client_key_file"] = str(tmp_path / "absent")
    elif key == "none":
        given["client_certificate_file"] = str(authority.ca)
    else:
        (tmp_path / "key.pem").write_bytes(encrypted())
        given["client_key_file"] = str(tmp_path / "key.pem")
    with pytest.raises(
        SetupError, match=r"UPNEXT_CLIENT_CERTIFICATE_FILE .*UPNEXT_CLIENT_KEY_FILE"
    ):
        access(load(given), "bus")


def test_a_key_alone_is_refused(authority: Authority) -> None:
    with pytest.raises(SetupError, match="UPNEXT_CLIENT_CERTIFICATE_FILE too"):
        access(load({"client_key_file": str(authority.issue())}), "bus")


def test_renewed_files_count_and_broken_ones_do_not(authority: Authority, tmp_path: Path) -> None:
    files = Files(mounted(tmp_path / "ca", authority.ca, "ca.pem"))
    first = files.context()
    assert files.context() is first
    assert files.context(any_name=True) is not first
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert first.minimum_version >= ssl.TLSVersion.TLSv1_2

    broken = tmp_path / "broken"
    broken.write_text("half of a file")
    mounted(tmp_path / "ca", broken, "ca.pem")
    with capture_logs() as lines:
        assert [files.context(), files.context()] == [first, first]
    assert [line["event"] for line in lines] == ["Certificates stay as they were."]

    mounted(tmp_path / "ca", Authority(tmp_path / "next").ca, "ca.pem")
    assert files.context() is not first


def test_milvus_is_told_by_its_own_words(authority: Authority, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("root:one\n")
    settings = load({"milvus_token_file": str(token), "ca_file": str(authority.ca)})
    how = access(settings, "milvus")
    assert options_of("http://there", how) == {"token": "root:one"}
    token.write_text("root:two\n")
    assert options_of("https://there", how) == {
        "token": "root:two",
        "server_pem_path": str(authority.ca),
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('server certificate for "a" does not match host name "b"', "another name"),
        ("hostname 'b' doesn't match 'a'", "another name"),
        ("CERTIFICATE_VERIFY_FAILED: self-signed certificate in certificate chain", "not trusted"),
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "has expired"),
        ("certificate is not yet valid", "not valid yet"),
        ("SSL error: certificate verify failed", "not trusted"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "asks for"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "does not speak TLS"),
        ("server does not support SSL, but SSL was required", "does not speak TLS"),
        ("Connect call failed ('127.0.0.1', 1)", ""),
        ("", ""),
    ],
)
def test_trouble_is_said_by_whoever_mends_it(words: str, said: str) -> None:
    error = RuntimeError("away")
    error.__cause__ = OSError(words)
    assert said in trouble(error)
    assert bool(trouble(error)) is bool(said)
