"""The lists that users of a past moment would have got, and what an evaluation asks of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import Ranked, RankingConfig
from embeddings.dataset import Histories
from embeddings.items import ItemVectors
from embeddings.version import Fitted
from ranking.rank import rank
from upnext.jobs.past import Past
from upnext.jobs.replay import Met, replay

LENGTH = 50  # the longest that is judged
NOTHING = -1


@dataclass(frozen=True, slots=True)
class ListScorer:
    """Lists as scores: the earlier in a list, the higher; what is not in it is never shown.

    `lists` int32 (users, length), rows of the videos in order, `NOTHING` behind a short list's
    end, for every user of the histories that are judged · `videos`, how many there are.
    """

    lists: NDArray[np.int32]
    videos: int

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `embeddings.evaluation.ports.Scorer.scores`."""
        table = np.full((len(users), self.videos), -np.inf, dtype=np.float32)
        own = self.lists[users]
        of, place = np.nonzero(own != NOTHING)
        table[of, own[of, place]] = (self.lists.shape[1] - place).astype(np.float32)
        return table


def make_lists(
    past: Past, users: NDArray[np.int64], fitted: Fitted, configs: Sequence[RankingConfig]
) -> list[NDArray[np.int32]]:
    """The first 50 of the list of each user, under each configuration; blocking.

    Users are met as the service would meet them just before what they watched next; candidates are
    those of the first configuration.

    Returns:
        For each of `configs` rows of `fitted.items`, int32 (len(users), 50), `NOTHING` behind the
        end of a short list.
    """
    return asyncio.run(_make(past, users, fitted, configs))


async def _make(
    past: Past, users: NDArray[np.int64], fitted: Fitted, configs: Sequence[RankingConfig]
) -> list[NDArray[np.int32]]:
    made = [np.full((len(users), LENGTH), NOTHING, dtype=np.int32) for _ in configs]
    async for met in replay(past, users, fitted, configs[0]):
        for lists, config in zip(made, configs, strict=True):
            rows = _rows(_ranked(met, config), fitted.items)
            lists[met.ask.at, : len(rows)] = rows
    return made


def _ranked(met: Met, config: RankingConfig) -> list[Ranked]:
    return rank(
        met.found.candidates,
        met.found.columns,
        vectors=met.found.vectors,
        asker=met.found.asker,
        config=config,
        model_weights=met.moment.model_weights,
        limit=LENGTH,
    )


def _rows(ranked: Sequence[Ranked], items: ItemVectors) -> NDArray[np.int64]:
    return items.rows(hash64_many([entry.video_id for entry in ranked]))
