"""`upnext migrate`."""

import time

import click

from core.errors import SetupError, Unavailable
from core.settings import Settings, load
from storage.embedded.stack import EmbeddedStack
from upnext.cli.console import JSON, emit
from upnext.home import Home

WAIT_SECONDS = 300.0
POLL_SECONDS = 2.0


@click.command()
@click.argument("direction", type=click.Choice(["up", "down", "wait"]), default="up")
@click.argument("revision", required=False)
@JSON
def migrate(direction: str, revision: str | None, *, as_json: bool) -> None:
    """Bring the database up to the newest revision, or up or down to REVISION.

    `down` wants the revision, `base` for an empty database: tables and their rows are dropped.
    `wait` changes nothing: it ends once the database is as this program needs it, after five
    minutes with an error. What a later release has migrated is right for this one too, and `up`
    leaves it alone.

    \b
    Examples:
      upnext migrate
      upnext migrate wait
      upnext migrate down base
    """  # noqa: D301
    if direction == "down" and revision is None:
        raise click.UsageError("Say how far down: a revision, or `base` for no tables at all.")
    settings = load()
    home = Home(settings.home)
    stack = home.live()
    running = stack.endpoints if stack is not None else None
    if settings.postgres_url is None and running is not None:
        settings = settings.model_copy(update={"postgres_url": running.postgres_url})
    if settings.postgres_url is not None:
        found = _migrate(settings, direction, revision)
    else:
        with home.lock("upnext migrate"), EmbeddedStack(home.path, ["postgres"]) as servers:
            its = {"postgres_url": servers.endpoints.postgres_url}
            found = _migrate(settings.model_copy(update=its), direction, revision)
    emit({"revision": found}, as_json=as_json, table=lambda: f"Revision {found or 'base'}")


def _migrate(settings: Settings, direction: str, revision: str | None) -> str | None:
    from storage.postgres import migrate as migrations  # noqa: PLC0415 - not for --help

    if direction == "wait":
        return _awaited(settings)
    if direction == "down":
        migrations.downgrade(settings, revision or "base")
    else:
        migrations.upgrade(settings, revision or "head")
    return migrations.current(settings)


def _awaited(settings: Settings) -> str:
    """The revision, once this program can run on it.

    Raises:
        SetupError: nobody migrates it.
        Unavailable: the database is away.
    """
    from storage.postgres import migrate as migrations  # noqa: PLC0415 - not for --help

    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        late = time.monotonic() > deadline
        try:
            found = migrations.current(settings)
        except Unavailable:
            if late:
                raise
        else:
            if found is not None and migrations.serves(found):
                return found
            if late:
                raise SetupError(
                    f"The database is at revision {found or 'none'}, this program needs "
                    f"{migrations.head()}: run `upnext migrate`."
                )
        time.sleep(POLL_SECONDS)
