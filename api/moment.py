"""What is in force as a request begins; it is taken once and kept to the request's end."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from api.schemas import Recommended
from core.types import Explanation, Ranked, RankingConfig, VideoId, Weights
from ranking.explain import DECIMALS
from retrieval.hash_index import UNKNOWN
from retrieval.live import LiveHandle
from retrieval.snapshot import Snapshot

NOTHING_EXPLAINED: Mapping[VideoId, Explanation] = {}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The live version (None before the first), the configuration, the catalogue and the time.

    `loaded` is false until the catalogue was read: then there is nothing to check lists by.
    `live_missing` is the dependency for want of which the live version is not what is used here.
    `earlier` are the other versions that are open.
    """

    live: LiveHandle | None
    config: RankingConfig
    snapshot: Snapshot
    now: datetime
    loaded: bool
    live_missing: str | None = None
    earlier: tuple[LiveHandle, ...] = ()

    @property
    def version(self) -> str | None:
        """The live version's name."""
        return self.live.version if self.live else None

    @property
    def model_weights(self) -> Weights | None:
        """The live version's own weights."""
        return self.live.weights if self.live else None

    @property
    def without(self) -> frozenset[str]:
        """What every answer of this moment is made without."""
        catalogue = None if self.loaded else "catalogue"
        return frozenset(name for name in (catalogue, self.live_missing) if name)

    def eligible(self, ids: list[VideoId]) -> list[bool]:
        """Which of these videos may be shown now: known, not taken down, inside their window."""
        rows = self.snapshot.rows(ids)
        known = rows != UNKNOWN
        known[known] = self.snapshot.eligible(self.now)[rows[known]]
        return [bool(may) for may in known.tolist()]

    def eligible_count(self) -> int:
        """How many videos of the catalogue may be shown now."""
        return int(np.count_nonzero(self.snapshot.eligible(self.now)))

    def shown(
        self,
        ranked: Sequence[Ranked],
        explanations: Mapping[VideoId, Explanation] = NOTHING_EXPLAINED,
    ) -> tuple[Recommended, ...]:
        """Videos as answers show them; of one the catalogue lacks there is only the id to show."""
        rows = self.snapshot.rows([entry.video_id for entry in ranked])
        return tuple(
            self._shown(entry, row, explanations.get(entry.video_id, UNSET))
            for entry, row in zip(ranked, rows.tolist(), strict=True)
        )

    def _shown(self, entry: Ranked, row: int, explanation: Explanation | UnsetType) -> Recommended:
        if row == UNKNOWN:
            return _bare(entry)
        genres = self.snapshot.genres(row)
        return Recommended(
            content_id=entry.video_id,
            title=self.snapshot.title(row),
            genre=genres[0] if genres else None,
            genres=genres,
            popularity_score=round(self.snapshot.popularity_of(row), 4),
            score=shown_score(entry),
            source=entry.source,
            explanation=explanation,
        )


def _bare(entry: Ranked) -> Recommended:
    return Recommended(
        content_id=entry.video_id,
        title="",
        genre=None,
        genres=(),
        popularity_score=0.0,
        score=shown_score(entry),
        source=entry.source,
    )


def shown_score(entry: Ranked) -> float:
    """The score as a kept list has it, so that a list shows the same ones from first to last."""
    return round(float(np.float32(entry.score)), DECIMALS)
