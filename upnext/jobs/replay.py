"""Candidates that users would have had at moments of the past, through the service's sources."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from api.gathered import Gathered
from api.maker import Maker, maker_over
from api.moment import Moment
from api.page_search import PageSearch
from api.remembering import of_a_moment
from core.clock import days
from core.types import RankingConfig, VideoColumns
from embeddings.version import Fitted, Version
from retrieval.exact import ExactSearch
from upnext.jobs.past import Ask, Past

AT_ONCE = 128  # users whose candidates are searched for together
DEADLINE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Met:
    """A user of the past, the moment they are met at, and their candidates, not ranked yet."""

    ask: Ask
    moment: Moment
    found: Gathered


async def replay(
    past: Past, users: NDArray[np.int64], fitted: Fitted, config: RankingConfig
) -> AsyncIterator[Met]:
    """Each of these users, int64 (n,), as the service would meet them, by time.

    Candidates come from the same sources and go through the same merging; what is searched is
    searched exactly. A date of publication that was still to come is not known then.
    """
    version = version_of(fitted)
    exact = ExactSearch(lambda: [version], most_bytes=sys.maxsize)
    maker = maker_over(of_a_moment(PageSearch(exact)), deadline_seconds=DEADLINE_SECONDS)
    for snapshot, asks in past.moments(users):
        for start in range(0, len(asks), AT_ONCE):
            part = asks[start : start + AT_ONCE]
            moments = [
                Moment(live=version, config=config, snapshot=snapshot, now=ask.now, loaded=True)
                for ask in part
            ]
            pairs = list(zip(part, moments, strict=True))
            found = await asyncio.gather(*(_candidates(maker, *pair) for pair in pairs))
            for (ask, moment), one in zip(pairs, found, strict=True):
                yield Met(ask, moment, one)


async def _candidates(maker: Maker, ask: Ask, moment: Moment) -> Gathered:
    found = await maker.gather(ask.state.user_id, ask.state, moment)
    return replace(found, columns=_known(found.columns, moment.now))


def _known(columns: VideoColumns, now: datetime) -> VideoColumns:
    """What was known at a moment: that a video appeared later would give away what is to come."""
    published = columns.published_day
    told = np.where(published <= days(now), published, np.float32(np.nan))
    return replace(columns, published_day=told)


def version_of(fitted: Fitted) -> Version:
    """A model as serving has it, without files."""
    return Version(
        version="judged",
        model_type="content",
        items=fitted.items,
        content=fitted.content,
        watches=fitted.watches,
        content_map=fitted.content_map,
        encoder=fitted.encoder,
        weights=fitted.weights,
        content_revision="judged",
    )
