"""The message bus: NATS with JetStream or Kafka behind small Protocols."""

from urllib.parse import urlsplit

from core.errors import SetupError
from storage.bus.contract import STREAMS, Bus, Events, Timing
from storage.bus.nats import NatsBus
from storage.bus.nats_events import NatsEvents

__all__ = ["STREAMS", "Bus", "Events", "Timing", "connect", "events", "setup"]

_NATS = ("nats://", "tls://")
_KAFKA = ("kafka://", "kafkas://")


def connect(url: str, timing: Timing | None = None) -> Bus:
    """The bus of that URL; connects when first used. `timing` is for the consumer that it makes.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    if url.startswith(_KAFKA):
        from storage.bus.kafka import KafkaBus  # noqa: PLC0415 - most have no Kafka

        return KafkaBus(url)
    _check_nats(url)
    return NatsBus(url, timing or Timing())


def events(url: str, timing: Timing | None = None) -> Events:
    """The consumer's side of that bus; connects when first used.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    if url.startswith(_KAFKA):
        from storage.bus.kafka_events import KafkaEvents  # noqa: PLC0415 - most have no Kafka

        return KafkaEvents(url, timing or Timing())
    _check_nats(url)
    return NatsEvents(url, timing or Timing())


async def setup(url: str) -> dict[str, list[str]]:
    """Make on the bus at `url` what is missing there; what there is now, by its kind.

    Raises as `connect` and `Bus.setup`.
    """
    bus = connect(url)
    try:
        return await bus.setup()
    finally:
        await bus.close()


def _check_nats(url: str) -> None:
    if not url.startswith(_NATS):
        raise SetupError(
            f"UPNEXT_BUS_URL cannot be used: it starts with {', '.join(_NATS + _KAFKA)}."
        )
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number
        usable = False
    if not usable:
        raise SetupError(
            "UPNEXT_BUS_URL cannot be used: for NATS it is nats://host:4222, or "
            "nats://user:password@host:4222; tls:// is the same over TLS."
        )
