"""Facts of videos as records of one array: small, and copied in one step."""

from collections.abc import Sequence
from datetime import datetime
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.clock import days
from core.hashing import hash64
from core.types import Video
from retrieval.vocabulary import Words

FACTS = np.dtype(
    [
        ("hash", np.uint64),
        ("available_from", np.float64),  # seconds since the epoch, -inf: always was
        ("available_until", np.float64),  # seconds since the epoch, inf: always will be
        ("published_day", np.float32),  # days since the epoch, nan: unknown
        ("duration_seconds", np.float32),  # nan: unknown
        ("genre_set", np.int32),
        ("region_set", np.int32),
        ("creator", np.int32),  # -1: unknown
        ("language", np.int32),  # -1: unknown
        ("maturity", np.int16),
        ("available", np.bool_),
    ]
)
Facts = NDArray[np.void]

# Strings in one buffer take half the memory of Python's.
TITLES = np.dtypes.StringDType()
Titles = np.ndarray[Any, np.dtype[Any]]  # numpy's types do not reach into StringDType yet


def facts_of(videos: Sequence[Video], words: Words) -> Facts:
    """Facts of the videos in their order, dtype `FACTS` (n,); new words join `words`."""
    return np.array([_record(video, words) for video in videos], dtype=FACTS)


def titles_of(videos: Sequence[Video]) -> Titles:
    """Titles of the videos in their order, (n,)."""
    return np.array([video.title for video in videos], dtype=TITLES)


def _record(video: Video, words: Words) -> tuple[float | int, ...]:
    return (
        hash64(video.id),
        _seconds(video.available_from, -inf),
        _seconds(video.available_until, inf),
        nan if video.published_at is None else days(video.published_at),
        nan if video.duration_seconds is None else video.duration_seconds,
        words.genre_set(video.genres),
        words.region_set(video.regions),
        words.creators.code(video.creator_id),
        words.languages.code(video.language),
        video.maturity,
        video.available,
    )


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else moment.timestamp()
