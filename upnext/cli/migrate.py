"""`upnext migrate`."""

import click

from core.errors import SetupError
from core.settings import load
from storage.embedded.stack import EmbeddedStack
from upnext.cli.console import JSON, emit
from upnext.home import Home


@click.command()
@click.argument("direction", type=click.Choice(["up", "down"]), default="up")
@click.argument("revision", required=False)
@JSON
def migrate(direction: str, revision: str | None, *, as_json: bool) -> None:
    """Bring the database up to the newest revision, or up or down to REVISION.

    `down` wants the revision, `base` for an empty database: tables and their rows are dropped.

    \b
    Examples:
      upnext migrate
      upnext migrate down base
    """  # noqa: D301
    if direction == "down" and revision is None:
        raise click.UsageError("Say how far down: a revision, or `base` for no tables at all.")
    settings = load()
    home = Home(settings.home)
    stack = home.live()
    running = stack.endpoints if stack is not None else None
    url = settings.postgres_url or (running.postgres_url if running is not None else None)
    if url is not None:
        found = _migrate(url, direction, revision)
    else:
        with home.lock("upnext migrate"), EmbeddedStack(home.path, ["postgres"]) as servers:
            found = _migrate(servers.endpoints.postgres_url, direction, revision)
    emit({"revision": found}, as_json=as_json, table=lambda: f"Revision {found or 'base'}")


def _migrate(url: str | None, direction: str, revision: str | None) -> str | None:
    from storage.postgres import migrate as migrations  # noqa: PLC0415 - not for --help

    if url is None:
        raise SetupError("UPNEXT_POSTGRES_URL is not set.")
    if direction == "up":
        migrations.upgrade(url, revision or "head")
    else:
        migrations.downgrade(url, revision or "base")
    return migrations.current(url)
