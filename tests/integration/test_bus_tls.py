"""Both buses over TLS: with an authority that is trusted, and with one that is not."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.errors import Unavailable
from storage.bus import connect, events
from storage.embedded.nats import NatsServer
from storage.embedded.server import free_port
from tests.kafka import KafkaServer

pytestmark = pytest.mark.integration

WATCHED = "analytics.video-watched"
DAY = timedelta(days=1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate and key of 127.0.0.1, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bus")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - DAY)
        .not_valid_after(datetime.now(UTC) + DAY)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(signed.public_bytes(pem) + private)
    return path


class TlsNatsServer(NatsServer):
    """NATS that takes encrypted connections only."""

    certificate: Path

    def prepare(self) -> None:
        """Add the certificate to the configuration."""
        super().prepare()
        tls = f'\ntls {{ cert_file: "{self.certificate}", key_file: "{self.certificate}" }}\n'
        self._config.write_text(self._config.read_text() + tls)


@asynccontextmanager
async def nats_over_tls(home: Path, certificate: Path) -> AsyncIterator[str]:
    server = TlsNatsServer(home)
    server.certificate = certificate
    server.launch()
    try:
        server.wait_ready()
        yield server.url.replace("nats://", "tls://")
    finally:
        server.stop()


@asynccontextmanager
async def kafka_over_tls(home: Path, certificate: Path) -> AsyncIterator[str]:
    """The broker behind a door that takes the encryption off."""
    port = free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with KafkaServer(home, advertised=port) as broker:

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await asyncio.open_connection("127.0.0.1", broker.port)
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

        door = await asyncio.start_server(pass_on, "127.0.0.1", port, ssl=context)
        async with door:
            yield f"kafkas://127.0.0.1:{port}"


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


@pytest.mark.parametrize("served", [nats_over_tls, kafka_over_tls])
async def test_it_is_encrypted_and_the_certificate_is_checked(
    served: object, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(served)
    async with served(tmp_path / "home", certificate) as url:
        stranger = connect(url)
        with pytest.raises(Unavailable) as caught:
            await stranger.setup()
        assert "kafka" in url or "not trusted" in str(caught.value)
        await stranger.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        bus, source = connect(url), events(url)
        await bus.setup()
        await bus.publish(WATCHED, "1", b"secret")
        async with asyncio.timeout(30):
            while not (messages := await source.fetch(1)):
                pass
        assert messages[0].payload == b"secret"
        await source.acknowledge(messages)
        await source.close()
        await bus.close()
