"""What the bus is told by its URL, and what the commands say."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import SetupError, Unavailable
from storage.bus import connect
from upnext.cli import main

pytestmark = pytest.mark.integration


async def test_a_wrong_password_is_unavailable(nats_url: str) -> None:
    bus = connect(nats_url.replace("upnext:", "somebody:"))
    with pytest.raises(Unavailable):
        await bus.ping()
    await bus.close()


@pytest.mark.parametrize("url", ["http://host:9092", "host:4222", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_BUS_URL"):
        connect(url)


def test_the_command_makes_the_streams(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path))
    monkeypatch.setenv("UPNEXT_BUS_URL", nats_url)
    for _ in range(2):
        result = CliRunner().invoke(main, ["bus", "setup"])
        assert (result.exit_code, result.stdout) == (
            0,
            "Streams: ANALYTICS, RECS\nConsumers: upnext\n",
        )
