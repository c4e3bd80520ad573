"""The words of what was served and what came of it."""

from datetime import datetime

import msgspec

from core.types import Source, VideoId


class ImpressionCount(msgspec.Struct, frozen=True, kw_only=True):
    """What one process served in one minute with one version and configuration.

    `source` None: whole lists; otherwise the lists that had videos of that source, and how many
    videos. `model_version` is None before a model is live.
    """

    minute: datetime
    model_version: str | None
    config_version: int
    source: Source | None
    lists: int
    videos: int


class ServedList(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer of a generated list showed, and where each video came from.

    Several pages of one generation carry the same `recommendation_id`.
    """

    recommendation_id: str
    model_version: str | None
    config_version: int
    entries: tuple[tuple[VideoId, Source], ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was served since some time, and the watches that followed from it.

    `source` as in `ImpressionCount`. A watch followed when it names a list that showed its video.
    """

    model_version: str | None
    config_version: int
    source: Source | None
    lists: int
    videos: int
    watches: int
