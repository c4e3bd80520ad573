"""`upnext batch`: everybody's list in one file."""

import asyncio
from pathlib import Path

import click
from rich.table import Table

from core.errors import InvalidInput
from core.settings import Settings
from core.types import UserId
from ingest.checks import check_user_id
from upnext.cli.console import emit, progress
from upnext.cli.context import stores
from upnext.jobs.batch import Summary
from upnext.jobs.batch import batch as make_lists

SHOWN = 10  # failures in the table


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where to write: one JSON object a line, a user each.",
)
@click.option(
    "--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Videos a list."
)
@click.option(
    "--users",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one user id a line; everybody without it.",
)
@click.option(
    "--processes", type=click.IntRange(1, 256), help="How many make lists; one a core without it."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def batch(
    output: Path, limit: int, users: Path | None, processes: int | None, *, as_json: bool
) -> None:
    """Make the lists of many users at once: those that the service would give them now.

    A user without a list is named in the summary, with the reason. The file is written aside and
    appears when it is complete.

    \b
    Example: upnext batch --output lists.ndjson --limit 20
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    asked = None if users is None else _read(users)
    with stores(["postgres", "milvus"]) as settings:
        summary = asyncio.run(_make(settings, output, limit, asked, processes))
    emit(summary, as_json=as_json, table=lambda: _table(summary, output))


async def _make(
    settings: Settings, output: Path, limit: int, users: list[UserId] | None, processes: int | None
) -> Summary:
    with progress("Making lists") as meter:
        return await make_lists(
            settings,
            output,
            limit=limit,
            users=users,
            processes=processes,
            on_progress=lambda done, of: meter.update(done, f"{done:,} of {of:,} users", total=of),
        )


def _read(file: Path) -> list[UserId]:
    """Ids, each once, in the order of the file; empty lines are passed over."""
    found: dict[UserId, None] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found[check_user_id(line.strip())] = None
        except InvalidInput as error:
            raise click.UsageError(f"{file}, line {number}: {error}") from error
    return list(found)


def _table(summary: Summary, output: Path) -> Table:
    table = Table(show_header=False)
    table.add_row("model", summary.model_version)
    table.add_row("users", f"{summary.users:,}")
    table.add_row("lists", f"{summary.lists:,}, in {output}")
    table.add_row("different videos", f"{summary.videos:,}")
    table.add_row("seconds", f"{summary.seconds:,.1f}")
    table.add_row("without a list", f"{len(summary.failed):,}")
    for user, reason in list(summary.failed.items())[:SHOWN]:
        table.add_row("", f"{user}: {reason}")
    if len(summary.failed) > SHOWN:
        table.add_row("", "... all of them: --json")
    return table
