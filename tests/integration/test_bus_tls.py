"""Both buses over TLS: right certificates work, of wrong ones it is said what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from core.access import Access, Files
from core.errors import Unavailable
from storage.bus import Timing, connect, events
from storage.embedded.nats import NatsServer
from tests.certificates import Authority
from tests.embedded import started
from tests.kafka import KafkaServer
from tests.patience import PATIENT_BUS
from tests.terminator import Terminator

pytestmark = pytest.mark.integration

PATIENT = Timing(answer=PATIENT_BUS)

WATCHED = "analytics.video-watched"
Served = Callable[[Path, Authority], AbstractAsyncContextManager[str]]


class TlsNatsServer(NatsServer):
    """NATS that takes encrypted connections only, of those who have a certificate."""

    certificate: Path
    asks_by: Path

    def prepare(self) -> None:
        """Add the certificates to the configuration."""
        super().prepare()
        tls = (
            f'\ntls {{ cert_file: "{self.certificate}", key_file: "{self.certificate}", '
            f'ca_file: "{self.asks_by}", verify: true }}\n'
        )
        self._config.write_text(self._config.read_text() + tls)


@asynccontextmanager
async def nats_over_tls(home: Path, authority: Authority) -> AsyncIterator[str]:
    server = TlsNatsServer(home)
    server.certificate, server.asks_by = authority.issue(), authority.ca
    with started(server):
        yield server.url.replace("nats://", "tls://")


@asynccontextmanager
async def kafka_over_tls(home: Path, authority: Authority) -> AsyncIterator[str]:
    """The broker behind a door that takes the encryption off, and sends clients to itself."""
    with (
        Terminator(("127.0.0.1", 0), authority.issue()) as door,
        started(KafkaServer(home, advertised=door.port)) as broker,
    ):
        door.behind, door.asks_by = ("127.0.0.1", broker.port), authority.ca
        yield f"kafkas://127.0.0.1:{door.port}"


@pytest.mark.parametrize("served", [nats_over_tls, kafka_over_tls])
async def test_it_is_encrypted_and_certificates_are_checked_on_both_sides(
    served: Served, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    async with served(tmp_path / "home", authority) as url:
        await _is_refused(url, Files(), "not trusted")
        await _is_refused(url, Files(authority.ca), "")
        trusted = Access(tls=authority.files(client=True))
        bus, source = connect(url, PATIENT, trusted), events(url, PATIENT, trusted)
        await bus.setup()
        await bus.publish(WATCHED, "1", b"secret")
        async with asyncio.timeout(30):
            while not (messages := await source.fetch(1)):
                pass
        assert messages[0].payload == b"secret"
        await source.acknowledge(messages)
        await source.close()
        await bus.close()


async def _is_refused(url: str, files: Files, said: str) -> None:
    stranger = connect(url, PATIENT, Access(tls=files))
    with pytest.raises(Unavailable) as caught:
        await stranger.ping()
    assert said in str(caught.value)
    await stranger.close()
