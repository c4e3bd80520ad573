"""The home: who holds it, and what another is told."""

import os
import stat
from pathlib import Path

import pytest

from core.errors import SetupError
from core.settings import load
from storage.embedded.identity import Identity, Record
from storage.embedded.stack import Endpoints
from upnext.home import Home, StackFile, complete

pytestmark = pytest.mark.unit


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_look_in(home: Home) -> None:
    home.secret()
    with home.lock("upnext import"):
        assert mode(home.path) == 0o700
        assert mode(home.secret_file) == 0o600
        assert mode(home.stack_file) == 0o600


def test_the_secret_is_made_once_and_long_enough(home: Home) -> None:
    first = home.secret()
    assert len(first.encode()) >= 32
    assert Home(home.path).secret() == first
    assert [file.name for file in home.path.iterdir() if file.is_file()] == ["secret"]


def test_a_file_in_the_way_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(SetupError, match="UPNEXT_HOME"):
        Home(tmp_path / "home").make()


def test_the_lock_is_for_one_and_ends_with_the_block(home: Home) -> None:
    with home.lock("upnext import"):
        with pytest.raises(SetupError, match="wait until it has ended"), home.lock("upnext up"):
            pass
        assert home.live() is not None
    assert home.live() is None
    with home.lock("upnext up"):
        assert home.live() is not None


def test_a_second_start_says_where_the_first_answers(home: Home) -> None:
    with home.lock("upnext up"):
        stack = StackFile(
            owner=Identity.own(), command="upnext up", secret="", address="http://127.0.0.1:8000"
        )
        home.publish(stack)
        with (
            pytest.raises(SetupError, match=f"at http://127.0.0.1:8000.*kill {os.getpid()}"),
            home.lock("upnext up"),
        ):
            pass


def test_a_stack_whose_owner_ended_is_not_live(home: Home) -> None:
    home.make()
    own = Identity.own()
    home.publish(StackFile(owner=Identity(own.pid, own.created - 60), command="", secret=""))
    assert home.stack() is not None
    assert home.live() is None


def test_an_unreadable_record_is_none(tmp_path: Path) -> None:
    record = Record(Identity.own(), Identity.own(), None)
    record.write(tmp_path / "record")
    assert Record.read(tmp_path / "record") == record
    (tmp_path / "record").write_text('{"server": ')
    assert Record.read(tmp_path / "record") is None


def test_settings_of_the_environment_win(home: Home) -> None:
    given = load({"redis_url": "redis://there"})
    filled = complete(given, home, Endpoints(redis_url="unix:///here", bus_url="nats://here"))
    assert filled.redis_url == "redis://there"
    assert filled.bus_url == "nats://here"
    assert filled.artifacts_url == (home.path / "artifacts").as_uri()
    assert filled.jwt_secret_file is not None
    assert filled.jwt_secret_file.read_text() == home.secret()


def test_a_password_inside_an_address_is_not_shown() -> None:
    url = "scheme://me:hush@host"
    stack = StackFile(
        owner=Identity.own(), command="upnext up", secret="", endpoints=Endpoints(*[url] * 4)
    )
    assert "hush" not in repr(stack)
