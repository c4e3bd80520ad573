"""A data set without each user's last watch, and those watches."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

LINKED = ("movies.csv", "plots.csv", "tags.csv", "titles.csv")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """`imports` is the command that brings the rest in; by user, `targets` and what they `watched`.

    Users with one watch keep it; a user who had watched the last video before is not judged.
    """

    imports: list[str]
    targets: dict[str, str]
    watched: dict[str, list[str]]


def hold_out(data: Path, folder: Path, *, without: str | None = None) -> HeldOut:
    """Write the data of the folder `data` without the last watches into the empty `folder`.

    Args:
        data: MovieLens (`ratings.csv`, `movies.csv` ...) or sequences (`pairs.tsv`, `titles.csv`).
        folder: where to write.
        without: a video all of whose watches are left out too.

    Raises:
        click.UsageError: it is neither.
    """
    for name in LINKED:
        if (data / name).exists():
            (folder / name).symlink_to((data / name).absolute())
    if (data / "ratings.csv").exists():
        imports = ["import", "movielens", str(folder)]
        histories = _ratings(data / "ratings.csv", folder / "ratings.csv", without)
    elif (data / "pairs.tsv").exists():
        pairs, titles = folder / "pairs.tsv", folder / "titles.csv"
        imports = ["import", "sequences", "--pairs", str(pairs), "--titles", str(titles)]
        histories = _sequences(data / "pairs.tsv", pairs, without)
    else:
        raise click.UsageError(f"{data} has neither ratings.csv nor pairs.tsv.")
    long = {user: videos for user, videos in histories if len(videos) > 1}
    watched = {user: videos[:-1] if user in long else videos for user, videos in histories}
    targets = {user: videos[-1] for user, videos in long.items() if videos[-1] not in videos[:-1]}
    return HeldOut(imports, targets, watched)


def _ratings(source: Path, target: Path, without: str | None) -> list[tuple[str, list[str]]]:
    with source.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        rows = [row for row in reader if row["movieId"] != without]
        names = list(reader.fieldnames or ())
    of: dict[str, list[dict[str, str]]] = {}
    for row in sorted(rows, key=lambda row: int(row["timestamp"])):  # of one time, as they came
        of.setdefault(row["userId"], []).append(row)
    with target.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        for history in of.values():
            writer.writerows(history[:-1] if len(history) > 1 else history)
    return [(user, [row["movieId"] for row in history]) for user, history in of.items()]


def _sequences(source: Path, target: Path, without: str | None) -> list[tuple[str, list[str]]]:
    histories = list(_lines(source, without))
    with target.open("w", encoding="utf-8") as lines:
        for user, videos in histories:
            kept = videos[:-1] if len(videos) > 1 else videos
            lines.write(f"{user}\t{' '.join(kept)}\n")
    return histories


def _lines(source: Path, without: str | None) -> Iterable[tuple[str, list[str]]]:
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            user, _, videos = line.rstrip("\n").partition("\t")
            if kept := [video for video in videos.split() if video != without]:
                yield user, kept
