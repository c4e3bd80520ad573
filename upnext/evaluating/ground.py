"""What all models of an evaluation stand on: the files, read, and the case made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.clock import EPOCH, days
from embeddings.evaluation.case import Case
from embeddings.evaluation.log import Log
from embeddings.evaluation.protocols import Temporal, leave_last_out, temporal
from upnext.evaluating.against import Lists, read_lists
from upnext.evaluating.cut_off import DEFAULT, cut_of
from upnext.evaluating.events import Events, read_events
from upnext.evaluating.fitting import Fitting
from upnext.evaluating.held_out import Pairs, read_pairs, read_questions
from upnext.evaluating.task import Task, Tell
from upnext.evaluating.videos import Videos, catalogue_of, content_of, read_videos
from upnext.jobs.fitting.recipe import Material


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and what of it is trained on.

    `videos` are all that some file names, `told` those of them that have a text · `first` and
    `last` bound the times of the log, None where it has none · `trained_*` are of the training
    part, each video of a user once.
    """

    events: int
    users: int
    videos: int
    told: int
    first: datetime | None
    last: datetime | None
    trained_watches: int
    trained_users: int


@dataclass(frozen=True, slots=True)
class Ground:
    """The case, and what models of it are fitted to.

    `over_time` is the case of the temporal protocol with what is new in it · `appeared` float64
    (n,), when each video was published, or first watched where that is not known, in days; None:
    there are no times · `left_out`, what of the files could not be used, by reason.
    """

    case: Case
    over_time: Temporal | None
    fitting: Fitting
    videos: Videos | None
    row_of: Mapping[str, int]
    appeared: NDArray[np.float64] | None
    counts: Counts
    left_out: dict[str, int]
    lists: Lists | None


def prepare(task: Task, tell: Tell) -> Ground:
    """Read the files and make the case.

    Raises:
        SetupError: a file is not there.
        InvalidInput: a file cannot be used, or nobody can be judged.
    """
    tell("reading", 0.0, str(task.interactions))
    events = read_events(task.interactions)
    asked = _asked(task)
    videos = None if task.videos is None else read_videos(task.videos)
    lists = None if task.against is None else read_lists(task.against)
    catalogue = catalogue_of(videos, events.videos, () if asked is None else asked.videos)
    row_of: dict[str, int] = {name: row for row, name in enumerate(catalogue.ids)}
    tell("reading", 0.5, f"{len(events):,} events of {len(events.users):,} users")
    log = events.log(row_of, in_one_order=task.protocol == "temporal")
    case, over_time = _case(task, log, asked, row_of)
    if lists is not None:  # now, not after hours of training
        lists.places(case)
    content = None
    if task.videos is not None:
        content = content_of(catalogue, task.videos, task.cache, lambda *at: tell("encoding", *at))
    material = Material(catalogue.ids, case.train, content)
    return Ground(
        case=case,
        over_time=over_time,
        fitting=Fitting(
            material, ordered=task.protocol != "split" or log.timed, recent=task.recent
        ),
        videos=videos,
        row_of=row_of,
        appeared=_appeared(log, videos, row_of),
        counts=_counts(events, log, case, told=sum(map(bool, catalogue.texts))),
        left_out=_left_out(events, asked, log, videos),
        lists=lists,
    )


def _asked(task: Task) -> Pairs | None:
    if task.test is None:
        return None
    return read_questions(task.test) if task.protocol == "candidates" else read_pairs(task.test)


def _case(
    task: Task, log: Log, asked: Pairs | None, row_of: Mapping[str, int]
) -> tuple[Case, Temporal | None]:
    if asked is not None:
        return asked.case(log, row_of), None
    if task.protocol == "leave-last-out":
        return leave_last_out(log), None
    over_time = temporal(log, cut_of(log, task.cut_off or DEFAULT))
    return over_time.case, over_time


def _appeared(
    log: Log, videos: Videos | None, row_of: Mapping[str, int]
) -> NDArray[np.float64] | None:
    if not log.timed:
        return None
    appeared = log.appeared()
    for name, video in ({} if videos is None else videos.by_id).items():
        if video.published_at is not None:
            appeared[row_of[name]] = days(video.published_at)
    return appeared


def _counts(events: Events, log: Log, case: Case, *, told: int) -> Counts:
    return Counts(
        events=len(events),
        users=len(events.users),
        videos=log.videos,
        told=told,
        first=_moment(events.times[0]) if events.times is not None else None,
        last=_moment(events.times[-1]) if events.times is not None else None,
        trained_watches=len(case.train.rows),
        trained_users=int(np.count_nonzero(np.diff(case.train.offsets))),
    )


def _left_out(
    events: Events, asked: Pairs | None, log: Log, videos: Videos | None
) -> dict[str, int]:
    counts = {
        "events_without_ids": events.empty,
        "videos_rejected": 0 if videos is None else len(videos.rejected),
    }
    return {reason: count for reason, count in counts.items() if count} | (
        {} if asked is None else asked.left_out(log)
    )


def _moment(day: float) -> datetime:
    return EPOCH + timedelta(days=float(day))
