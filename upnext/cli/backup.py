"""`upnext backup`, `upnext restore` and `upnext rebuild`."""

import click
import msgspec

from core.errors import SetupError
from core.settings import load
from upnext.cli.console import JSON, details, emit, progress
from upnext.cli.context import stores
from upnext.home import Home

PLACE = click.argument("place", metavar="PLACE")
NAME = click.argument("name", metavar="[NAME]", required=False)


@click.command()
@PLACE
@click.option(
    "--without-artifacts",
    is_flag=True,
    help="PostgreSQL alone, where the bucket of the artifacts is safe by itself.",
)
@JSON
def backup(place: str, *, without_artifacts: bool, as_json: bool) -> None:
    """Copy PostgreSQL and the artifacts to PLACE, a folder or s3://bucket/prefix.

    The service goes on meanwhile. What is there when the command has ended is one moment of the
    database, each file with its checksum; a backup that was interrupted is none.

    \b
    Example: upnext backup s3://backups/upnext
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from upnext.backups.save import backup as save  # noqa: PLC0415 - not for --help

    with stores(["postgres"]) as settings, progress("Backing up") as meter:
        name, made = save(settings, place, meter.update, with_artifacts=not without_artifacts)
    shown = {
        "name": name,
        "rows": {table: copied.rows for table, copied in made.tables.items()},
        "artifacts": len(made.artifacts or {}),
        "bytes": made.size,
        "live": made.live,
    }
    emit(shown, as_json=as_json, table=lambda: details(shown))


@click.command()
@PLACE
@NAME
@click.option("--check", is_flag=True, help="Read all of it and compare checksums; change nothing.")
@JSON
def restore(place: str, name: str | None, *, check: bool, as_json: bool) -> None:
    """Restore the backup NAME of PLACE, the newest without a name, into an empty service.

    The database must be empty and nothing of the service running. Tables are restored in one
    transaction; then the index is made from the artifacts and the cache is emptied.

    \b
    Examples:
      upnext restore --check s3://backups/upnext
      upnext restore s3://backups/upnext upnext-20260101T030000Z
    """  # noqa: D301
    from upnext.backups import restore as restoring  # noqa: PLC0415 - not for --help

    if check:
        with progress("Checking") as meter:
            name, found = restoring.check(load(), place, name, meter.update)
        shown = {"name": name, "files": len(found.files) + len(found.artifacts or {})}
        emit(shown, as_json=as_json, table=lambda: f"{name}: {shown['files']} files are whole.")
        return
    _refuse_beside_a_service()
    with (
        stores(["postgres", "redis", "milvus"], at_revision=False) as settings,
        progress("Restoring") as meter,
    ):
        restored = restoring.restore(settings, place, name, meter.update)
    shown = msgspec.to_builtins(restored)
    emit(restored, as_json=as_json, table=lambda: details(shown | shown.pop("rebuilt")))


@click.command()
@JSON
def rebuild(*, as_json: bool) -> None:
    """Make what Milvus and Redis hold anew from PostgreSQL and the artifacts.

    For an index that lost its data, or a cache that is not to be trusted. Collections that hold
    and find what they must stay; lists are slower for a while.

    \b
    Example: upnext rebuild
    """  # noqa: D301
    from upnext.jobs.rebuild import rebuild as make_anew  # noqa: PLC0415 - not for --help

    with stores(["postgres", "redis", "milvus"]) as settings, progress("Rebuilding") as meter:
        rebuilt = make_anew(settings, meter.update)
    emit(rebuilt, as_json=as_json, table=lambda: details(msgspec.to_builtins(rebuilt)))


def _refuse_beside_a_service() -> None:
    stack = Home(load().home).live()
    if stack is not None:
        raise SetupError(
            f"`{stack.command}` runs in this home and would go on from what it knew: stop it "
            f"first: kill {stack.owner.pid}"
        )
