"""The message bus: NATS with JetStream or Kafka behind small Protocols."""

from core.errors import SetupError
from storage.bus.contract import STREAMS, Bus, Timing
from storage.bus.nats import NatsBus
from storage.bus.nats_events import NatsEvents

__all__ = ["STREAMS", "Bus", "Timing", "connect", "events", "setup"]

_SCHEMES = ("nats://", "tls://")


def connect(url: str, timing: Timing | None = None) -> Bus:
    """The bus of that URL; connects when first used. `timing` is for the consumer that it makes.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    _check(url)
    return NatsBus(url, timing or Timing())


def events(url: str, timing: Timing | None = None) -> NatsEvents:
    """The consumer's side of that bus; connects when first used.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    _check(url)
    return NatsEvents(url, timing or Timing())


async def setup(url: str) -> None:
    """Make on the bus at `url` what is missing there. Raises as `connect` and `Bus.setup`."""
    bus = connect(url)
    try:
        await bus.setup()
    finally:
        await bus.close()


def _check(url: str) -> None:
    if not url.startswith(_SCHEMES):
        raise SetupError("UPNEXT_BUS_URL cannot be used: it starts with nats:// or tls://.")
