"""`upnext import`: files, or the demo data, into the catalogue and the histories."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from core.clock import utc_now
from core.errors import SetupError, Unavailable
from core.types import Interaction, Progress, Video
from ingest.demo import read_demo
from ingest.event_files import read_events
from ingest.feed import Feed
from ingest.kept_weights import KeptWeights
from ingest.movielens import read_movies, read_ratings
from ingest.report import Reject, Report
from ingest.sequences import read_pairs, read_titles
from ingest.video_files import read_videos
from upnext.cli.console import Meter, emit, progress
from upnext.cli.context import stores
from upnext.home import Home
from upnext.imports import import_feeds

SHOWN_REJECTS = 10
FILE = click.Path(path_type=Path)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every import has."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")(
        command
    )
    return click.option(
        "--rejects", type=FILE, help="Write every rejected line's place and reason here (NDJSON)."
    )(command)


@click.group("import")
def import_() -> None:
    """Bring in videos and their history.

    Running an import again adds only what is missing. A bad line is reported with its file, line
    and reason, and never drops a good one. The formats are in docs/importing.md.
    """


@import_.command()
@click.argument("folder", metavar="DIR", type=FILE)
@_options
def movielens(folder: Path, rejects: Path | None, *, as_json: bool) -> None:
    """Import a MovieLens folder: movies.csv, ratings.csv, and tags.csv, plots.csv when there.

    \b
    Example: upnext import movielens ./ml-latest-small
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    films, ratings = read_movies(folder), read_ratings(folder, utc_now)
    _run(films, ratings, rejects, as_json=as_json)


@import_.command()
@click.option("--pairs", type=FILE, required=True, help="Lines of: user TAB video video ...")
@click.option("--titles", type=FILE, required=True, help="CSV with the columns item, title.")
@_options
def sequences(pairs: Path, titles: Path, rejects: Path | None, *, as_json: bool) -> None:
    """Import histories without times: each user's videos in the order watched.

    \b
    Example: upnext import sequences --pairs pairs.tsv --titles titles.csv
    """  # noqa: D301
    _run(read_titles(titles), read_pairs(pairs), rejects, as_json=as_json)


@import_.command()
@click.argument("file", type=FILE)
@_options
def videos(file: Path, rejects: Path | None, *, as_json: bool) -> None:
    """Import videos from an .ndjson, .jsonl, .csv or .parquet file.

    \b
    Example: upnext import videos catalogue.ndjson --rejects rejects.ndjson
    """  # noqa: D301
    _run(read_videos(file), None, rejects, as_json=as_json)


@import_.command()
@click.argument("file", type=FILE)
@_options
def events(file: Path, rejects: Path | None, *, as_json: bool) -> None:
    """Import watches and ratings from an .ndjson, .jsonl, .csv or .parquet file.

    \b
    Example: upnext import events watches.csv --json
    """  # noqa: D301
    weights = KeptWeights()
    feed = read_events(file, utc_now, weights.current)
    _run(None, feed, rejects, weights, as_json=as_json)


@import_.command()
@_options
def demo(rejects: Path | None, *, as_json: bool) -> None:
    """Import the demo data: 2,000 videos and 500 users whose tastes can be seen.

    \b
    Example: upnext import demo
    """  # noqa: D301
    _run(*read_demo(), rejects, as_json=as_json)


def _run(
    videos: Feed[Video] | None,
    interactions: Feed[Interaction] | None,
    rejects: Path | None,
    weights: KeptWeights | None = None,
    *,
    as_json: bool,
) -> None:
    """Import, show how far it is, print the report; exit code 1 if nothing could be used."""
    with (
        _rejects_file(rejects) as on_reject,
        stores(needs=("postgres", "redis")) as settings,
        _bars() as on_progress,
    ):
        work = import_feeds(
            settings,
            videos=videos,
            interactions=interactions,
            weights=weights,
            on_progress=on_progress,
            on_reject=on_reject,
        )
        try:
            report = asyncio.run(work)
        except Unavailable as error:
            raise SetupError(
                f"{error}. What was imported so far is kept: run the same command again."
            ) from error
    emit(report, as_json=as_json, table=lambda: _table(report, rejects))
    if report.rejected and not (report.accepted or report.duplicates):
        raise click.exceptions.Exit(1)
    Home(settings.home).demo_mark.unlink(missing_ok=True)


@contextmanager
def _rejects_file(path: Path | None) -> Iterator[Callable[[Reject], None]]:
    """Where each reject goes: a line of NDJSON in the file, if there is one.

    Raises:
        SetupError: the file cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("xb")  # never over a file that is there: it may be the input
    except FileExistsError as error:
        raise SetupError(f"{path} is there already: name a new file for the rejects.") from error
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}.") from error
    with file:

        def write(reject: Reject) -> None:
            file.write(msgspec.json.encode(reject) + b"\n")

        yield write


@contextmanager
def _bars() -> Iterator[Callable[[Progress], None]]:
    """One bar after another: a new one whenever the stage's name changes."""
    with ExitStack() as stack:
        meters: dict[str, Meter] = {}

        def show(now: Progress) -> None:
            if now.stage not in meters:
                stack.close()
                meters[now.stage] = stack.enter_context(progress(f"Importing {now.stage}"))
            meters[now.stage].update(now.fraction, now.message)

        yield show


def _table(report: Report, rejects: Path | None) -> Group:
    """The report for a person."""
    table = Table("", "accepted", "duplicates", "rejected")
    for name, counts in (("videos", report.videos), ("interactions", report.interactions)):
        numbers = (counts.accepted, counts.duplicates, counts.rejected)
        if any(numbers):
            table.add_row(name, *(f"{number:,}" for number in numbers))
    lines = [f"{bad.file}:{bad.line}: {bad.reason}" for bad in report.errors[:SHOWN_REJECTS]]
    more = report.rejected - len(lines)
    if more > 0:
        where = f"all of them are in {rejects}" if rejects else "see all with --rejects FILE"
        lines.append(f"... and {more:,} more: {where}")
    return Group(table, *(Text(line) for line in (*lines, *report.warnings)))
