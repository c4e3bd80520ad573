"""The command line. Commands are imported when they are called, so that `--help` is quick.

A command raises `UpnextError` and prints nothing itself when something goes wrong: this is the one
place that turns errors into one line on stderr and exit code 1.
"""

import importlib
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

import click

from core.errors import UpnextError
from core.settings import caused_by, load, strays
from upnext import disk

COMMANDS = {
    "up": ("upnext.cli.up:up", "Start everything on this machine."),
    "serve": ("upnext.cli.serve:serve", "Serve the HTTP API."),
    "worker": ("upnext.cli.worker:worker", "Run background work."),
    "migrate": ("upnext.cli.migrate:migrate", "Bring the database up or down to a revision."),
    "bus": ("upnext.cli.bus:bus", "Set the message bus up, see to dead letters."),
    "token": ("upnext.cli.token:token", "Print a token for the service of this home."),
    "healthcheck": ("upnext.cli.healthcheck:healthcheck", "Ask a process whether it is well."),
    "doctor": ("upnext.cli.doctor:doctor", "Check every dependency and say what is wrong."),
    "import": ("upnext.cli.imports:import_", "Import videos and their history."),
    "train": ("upnext.cli.train:train", "Fit a model and publish it."),
    "evaluate": ("upnext.cli.evaluate:evaluate", "Judge models on a log, without a service."),
    "embeddings": ("upnext.cli.train:embeddings", "Bring text vectors up to date."),
    "jobs": ("upnext.cli.jobs:jobs", "List, show, run, cancel and retry jobs."),
    "models": ("upnext.cli.models:models", "List, show, promote and roll back models."),
    "recommend": ("upnext.cli.recommend:recommend", "Show a user's list."),
    "similar": ("upnext.cli.recommend:similar", "Show videos similar to one."),
    "backup": ("upnext.cli.backup:backup", "Copy the database and the artifacts to a safe place."),
    "restore": ("upnext.cli.backup:restore", "Bring a backup into an empty service."),
    "rebuild": ("upnext.cli.backup:rebuild", "Make index and cache anew from the truth."),
    "batch": ("upnext.cli.batch:batch", "Make the lists of many users at once."),
}


UNTRACED = {"up", "serve", "worker", "healthcheck"}
"""What runs until it is told to stop: what it does are traces. And what runs every few seconds."""
QUIET = {"serve", "worker", "healthcheck", "doctor"}
"""What says nothing of the environment here: it has a log for that, or a finding, or no reader."""


class LazyGroup(click.Group):
    """Knows its commands by name; their help lines are here so that none is imported for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """Names in the order of a first visit."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; what is about to be run is a trace, or part of the one it was started in."""
        name, command, rest = super().resolve_command(ctx, args)
        if ctx.resilient_parsing:
            return name, command, rest
        if name not in QUIET:
            for stray in strays():
                click.echo(f"Warning: {stray}", err=True)
        if name not in UNTRACED:
            ctx.with_resource(_seen(f"upnext {name}"))
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The commands and what each is for."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's interface
        """Run a command; its errors become one line for the reader."""
        try:
            return super().invoke(ctx)
        except UpnextError as error:
            raise click.ClickException(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            raise click.ClickException(_unexpected(error)) from error


@contextmanager
def _seen(name: str) -> Iterator[None]:
    # Not for all: who imports it measures, and `serve` has to name the folder for that before.
    from core.tracing import extract, root, traced  # noqa: PLC0415

    with traced("upnext"), root(name, kind="internal", caused_by=extract(caused_by())):
        yield


def _unexpected(error: Exception) -> str:
    """Keep the traceback in a file, say where; a full disk has no room for one."""
    if disk.is_full(error):
        return disk.FULL
    from core.redaction import redaction  # noqa: PLC0415 - seldom needed

    text = "".join(traceback.format_exception(error))
    try:
        settings = load()
        text = redaction(settings).text(text)
        folder = settings.home.resolve() / "logs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, UpnextError):
        folder = Path(tempfile.gettempdir())
    file = folder / "error.log"
    with file.open("a") as log:
        log.write(text + "\n")
    return f"Something unexpected happened: {error!r}. The details are in {file}"


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler
    """End as on Ctrl-C, through every `finally`."""
    sys.exit(128 + number)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="upnext")
def main() -> None:
    """Video recommendations on your own hardware.

    \b
    upnext up                            start everything, print the address
    upnext import movielens ./ml-small   bring in ratings and movies
    upnext recommend 7                   show what user 7 gets
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    signal.signal(signal.SIGTERM, _terminate)
