"""The command line's manners: one line for an error, a file for what nobody expected."""

import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import jwt
import pytest
from click.testing import CliRunner

from core.errors import SetupError
from core.settings import load
from upnext.cli import COMMANDS, LazyGroup, main
from upnext.cli.console import emit, progress
from upnext.diagnosis import machine
from upnext.home import Home
from upnext.tokens import make_token

pytestmark = pytest.mark.unit


def group_raising(error: Exception) -> LazyGroup:
    """A command line whose one command fails."""

    @click.command()
    def fails() -> None:
        raise error

    class Failing(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
            return fails

    return Failing("upnext")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def test_our_error_is_its_sentence() -> None:
    result = CliRunner().invoke(group_raising(SetupError("Start the server.")), ["fails"])
    assert result.exit_code == 1
    assert result.stderr == "Error: Start the server.\n"


def test_a_variable_that_is_no_setting_is_warned_of(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPNEXT_REDIS_ULR", "redis://host")
    stray = "UPNEXT_REDIS_ULR is no setting and does nothing: did you mean UPNEXT_REDIS_URL?"
    result = CliRunner().invoke(group_raising(SetupError("Start the server.")), ["fails"])
    assert result.stderr == f"Warning: {stray}\nError: Start the server.\n"
    finding = next(one for one in machine(home) if one.name == "settings")
    assert (finding.fine, finding.detail) == (False, stray)


def test_an_unexpected_error_keeps_its_traceback_in_the_home(home: Home) -> None:
    result = CliRunner().invoke(group_raising(KeyError("lost")), ["fails"])
    log = home.path / "logs" / "error.log"
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert str(log) in result.stderr
    assert "Traceback" in log.read_text()


def test_what_is_kept_of_it_has_no_secret(home: Home) -> None:
    error = KeyError("postgresql://me:hush-hush@db/upnext")
    CliRunner().invoke(group_raising(error), ["fails"])
    assert "hush-hush" not in (home.path / "logs" / "error.log").read_text()


def test_a_full_disk_is_said(home: Home) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    result = CliRunner().invoke(group_raising(error), ["fails"])
    assert result.stderr.startswith("Error: The disk is full")
    assert not home.logs.exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    leaves = command.commands.values() if isinstance(command, click.Group) else [command]
    for leaf in leaves:
        assert f"upnext {name}" in (leaf.help or "") or "$(upnext" in (leaf.help or "")


def test_a_token_of_the_home_says_who_and_what(home: Home) -> None:
    arguments = ["token", "--sub", "ops", "--role", "admin", "--role", "trainer"]
    result = CliRunner().invoke(main, arguments)
    claims = jwt.decode(result.stdout.strip(), home.secret(), algorithms=["HS256"])
    assert (claims["sub"], claims["roles"]) == ("ops", ["admin", "trainer"])


def test_a_token_carries_what_the_service_checks() -> None:
    settings = load({"jwt_secret": "s" * 32, "jwt_issuer": "us", "jwt_audience": "them"})
    now = datetime(2026, 1, 1, tzinfo=UTC)
    token = make_token(settings, "7", ["user"], timedelta(hours=1), clock=lambda: now)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("us", "them")
    assert claims["exp"] - now.timestamp() == 3600


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(SetupError, match="32 bytes"):
        make_token(load({"jwt_secret": "short"}), "7", ["user"], timedelta(hours=1))


def test_where_an_issuer_signs_a_token_is_got_there(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPNEXT_JWT_JWKS_URL", "https://issuer/jwks.json")
    result = CliRunner().invoke(main, ["token", "--sub", "ops"])
    assert result.exit_code != 0
    assert "UPNEXT_JWT_SECRET" in result.output
    assert not home.secret_file.exists()


def test_a_result_is_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"accepted": 3}, as_json=True, table=lambda: "three")
    assert json.loads(capsys.readouterr().out) == {"accepted": 3}
    emit({"accepted": 3}, as_json=False, table=lambda: "three")
    assert capsys.readouterr().out == "three\n"


def test_progress_is_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Importing") as meter:
        meter.update(0.4, "40 accepted")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == "Importing ..."
    assert captured.err.splitlines()[-1].endswith("(40 accepted)")
