"""What users get, judged by what they watched next: `python -m bench.quality --help`.

Each user's last watch is held out, the rest imported, a model trained and made live, all with the
commands that users have; then everyone's list is asked for, through HTTP or by the batch command.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import click
import msgspec
from rich.table import Table

from bench.held_out import hold_out
from bench.list_metrics import ListMetrics, judge
from bench.retrieval_alone import popular, retrieved
from bench.service import running
from core.errors import UpnextError
from core.settings import Settings, child_environment, load
from storage.embedded.server import free_port
from upnext.cli.console import emit
from upnext.service import fetch

BATCH_ABOVE = 2_000  # users
UPNEXT = Path(sys.executable).with_name("upnext")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Lists of one model on one data set; `seconds` is what making all of them took.

    `neighbours` are the titles of videos similar to the one that was left out, if any.
    """

    data: str
    model: str
    version: str
    through: Literal["http", "batch"]
    seconds: float
    lists: ListMetrics
    retrieval_hr: float
    retrieval_ndcg: float
    popular_hr: float
    popular_ndcg: float
    neighbours: list[str]


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A folder with MovieLens' ratings.csv, or with pairs.tsv and titles.csv.",
)
@click.option("--model", type=click.Choice(["als", "content"]), default="als", show_default=True)
@click.option("--without", metavar="ID", help="Leave a video's watches out, show its neighbours.")
@click.option("--home", type=click.Path(path_type=Path), help="Keep the service's state here.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the verdict here too.")
def main(data: Path, model: str, without: str | None, home: Path | None, file: Path | None) -> None:
    """Hold each user's last watch out, train, and judge everyone's list of 10."""
    try:
        with tempfile.TemporaryDirectory(prefix="upnext-quality-") as made:
            place = home or Path(made) / "home"
            verdict = measure(data, model, place, Path(made), without=without)
    except UpnextError as error:
        raise click.ClickException(str(error)) from error
    emit(verdict, as_json=False, table=lambda: _table(verdict))
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=2))


def measure(
    data: Path, model: str, home: Path, work: Path, *, without: str | None = None
) -> Verdict:
    """The whole way, from the files to the verdict. Raises `UpnextError`."""
    rest = work / "rest"
    rest.mkdir()
    held_out = hold_out(data, rest, without=without)
    anything = dict.fromkeys(("gate_recall", "gate_ndcg", "gate_coverage"), "0")
    settings = load({"home": str(home), "port": str(free_port()), **anything})
    run(settings, *held_out.imports)
    run(settings, "train", model, "--promote")
    with running(settings) as (address, full):
        through: Literal["http", "batch"] = (
            "batch" if len(held_out.watched) > BATCH_ABOVE else "http"
        )
        began = time.monotonic()
        if through == "http":
            lists = {user: asked(full, address, user) for user in held_out.watched}
        else:
            lists = batched(full, work / "lists.ndjson")
        seconds = time.monotonic() - began
        version = run_json(settings, "models", "list")["models"][0]["version"]
        alone = retrieved(full, version, held_out.targets)
        by_views = popular(full, held_out.targets)
        neighbours = alike(full, address, without) if without else []
    return Verdict(
        data=data.resolve().name,
        model=model,
        version=version,
        through=through,
        seconds=round(seconds, 1),
        lists=judge(lists, held_out.targets, held_out.watched),
        retrieval_hr=alone[0],
        retrieval_ndcg=alone[1],
        popular_hr=by_views[0],
        popular_ndcg=by_views[1],
        neighbours=neighbours,
    )


def run(settings: Settings, *arguments: str) -> str:
    """Run an `upnext` command in the home of `settings`; what it printed on stdout."""
    done = subprocess.run(  # noqa: S603 - our own command
        [str(UPNEXT), *arguments],
        env=child_environment(settings),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UpnextError(f"`upnext {' '.join(arguments)}` failed, its reason is above.")
    return done.stdout


def run_json(settings: Settings, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """As `run`, with the decoded output of `--json`."""
    return json.loads(run(settings, *arguments, "--json"))


def asked(settings: Settings, address: str, user: str) -> list[str]:
    """A user's list over HTTP."""
    body = fetch(settings, address, ("recs", user), {"limit": 10}, dict[str, Any])
    return [entry["content_id"] for entry in body["recommendations"]]


def alike(settings: Settings, address: str, video: str) -> list[str]:
    """Titles of the 10 videos most similar to one."""
    path = ("videos", video, "similar")
    body = fetch(settings, address, path, {"limit": 10}, dict[str, Any])
    return [str(entry["title"]) for entry in body["recommendations"]]


def batched(settings: Settings, file: Path) -> dict[str, list[str]]:
    """Everyone's lists by the batch command."""
    run(settings, "batch", "--output", str(file))
    with file.open("rb") as lines:
        entries = [json.loads(line) for line in lines]
    return {
        entry["user_id"]: [one["content_id"] for one in entry["recommendations"]]
        for entry in entries
    }


def _table(verdict: Verdict) -> Table:
    table = Table(title=f"{verdict.model} on {verdict.data}: next watch held out")
    table.add_column("what")
    table.add_column("value", justify="right")
    lists = verdict.lists
    rows = {
        f"users, lists of 10 through {verdict.through}": f"{lists.users:,} in {verdict.seconds} s",
        "HR@10 / nDCG@10 of the lists": f"{lists.hr:.4f} / {lists.ndcg:.4f}",
        "of retrieval alone": f"{verdict.retrieval_hr:.4f} / {verdict.retrieval_ndcg:.4f}",
        "of the most watched": f"{verdict.popular_hr:.4f} / {verdict.popular_ndcg:.4f}",
        "mean overlap of two lists": f"{lists.overlap:.3f}",
        "different videos shown": f"{lists.videos:,}",
        "lists with the most shown video": f"{lists.most_shown:.1%}",
        "lists with fewer than 10 / with a watched video": f"{lists.short} / {lists.watched_shown}",
    }
    if verdict.neighbours:
        rows["similar to the video left out"] = "\n".join(verdict.neighbours)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


if __name__ == "__main__":
    main()
