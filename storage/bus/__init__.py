"""The message bus: NATS with JetStream or Kafka behind small Protocols."""

from urllib.parse import urlsplit

from core.access import PLAIN, Access, access
from core.errors import SetupError
from core.settings import Settings, given
from storage.bus.contract import STREAMS, Bus, Events, Timing
from storage.bus.nats import NatsBus
from storage.bus.nats_events import NatsEvents

__all__ = [
    "STREAMS",
    "Bus",
    "Events",
    "Timing",
    "bus_of",
    "connect",
    "events",
    "events_of",
    "setup",
]

_NATS = ("nats://", "tls://")
_KAFKA = ("kafka://", "kafkas://")


def bus_of(settings: Settings) -> Bus:
    """As `connect`, to the bus of these settings and as they say.

    Raises:
        SetupError: there is no URL, it is not one of a bus, or a file cannot be used.
    """
    return connect(given(settings, "bus_url"), _timing(settings), access(settings, "bus"))


def events_of(settings: Settings) -> Events:
    """As `events`, of the bus of these settings. Raises as `bus_of`."""
    return events(given(settings, "bus_url"), _timing(settings), access(settings, "bus"))


def connect(url: str, timing: Timing, how: Access = PLAIN) -> Bus:
    """The bus of that URL; connects when first used.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    if url.startswith(_KAFKA):
        from storage.bus.kafka import KafkaBus  # noqa: PLC0415 - most have no Kafka

        return KafkaBus(url, timing, how)
    _check_nats(url)
    return NatsBus(url, timing, how)


def events(url: str, timing: Timing, how: Access = PLAIN) -> Events:
    """The consumer's side of that bus; connects when first used.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    if url.startswith(_KAFKA):
        from storage.bus.kafka_events import KafkaEvents  # noqa: PLC0415 - most have no Kafka

        return KafkaEvents(url, timing, how)
    _check_nats(url)
    return NatsEvents(url, timing, how)


async def setup(settings: Settings) -> dict[str, list[str]]:
    """Make on the bus what is missing there; what there is now, by its kind.

    Raises as `bus_of` and `Bus.setup`.
    """
    bus = bus_of(settings)
    try:
        return await bus.setup()
    finally:
        await bus.close()


def _timing(settings: Settings) -> Timing:
    return Timing(answer=settings.bus_timeout_seconds)


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
