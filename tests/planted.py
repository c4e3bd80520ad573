"""Histories with a known answer: what a model has to find if it finds anything."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import UserId
from embeddings.evaluation.case import Case
from embeddings.evaluation.log import Log
from embeddings.evaluation.metrics import NAMES, gains_of
from embeddings.evaluation.ports import Scorer
from embeddings.evaluation.protocols import leave_last_out
from embeddings.evaluation.ranking import rank

TEXT = 16


@dataclass(frozen=True)
class Planted:
    """A log, and what is behind it.

    `groups` int (videos,), the group of each video · `tastes` int (users,), the group that each
    user likes · `content` float32 (videos, TEXT), of length 1, texts that tell the groups apart.
    """

    log: Log
    groups: NDArray[np.int64]
    tastes: NDArray[np.int64]
    content: NDArray[np.float32]

    def case(self) -> Case:
        """Every user's last watch held out."""
        return leave_last_out(self.log)


def checkerboard(users: int = 60, videos: int = 40, *, seed: int = 0) -> Planted:
    """Two halves of users, two of videos: each watches some of its own, and nothing else."""
    return planted_taste(users, videos, groups=2, noise=0.0, seed=seed)


def planted_taste(
    users: int = 200, videos: int = 120, *, groups: int = 6, noise: float = 0.15, seed: int = 0
) -> Planted:
    """Users who watch their own group's videos, and with chance `noise` any other."""
    draw = np.random.default_rng(seed)
    of_video, of_user = np.arange(videos) % groups, np.arange(users) % groups
    watched = []
    for taste in of_user:
        own, other = np.flatnonzero(of_video == taste), np.flatnonzero(of_video != taste)
        length = int(draw.integers(len(own) // 3 + 1, len(own) * 3 // 4 + 1))
        strays = int(draw.binomial(length, noise))
        chosen = [draw.choice(own, length - strays, replace=False)]
        chosen.append(draw.choice(other, strays, replace=False))
        watched.append(draw.permutation(np.concatenate(chosen)))
    return Planted(_log(watched, videos), of_video, of_user, _texts(of_video, draw))


def chained(
    users: int = 300, videos: int = 60, *, length: int = 12, noise: float = 0.1, seed: int = 0
) -> Planted:
    """Users who watch video after video along one ring, and with chance `noise` leap elsewhere.

    What comes next follows from the last watch: the video after it in the ring, the last by number
    being before the first. Popularity and taste say nothing.
    """
    draw = np.random.default_rng(seed)
    watched = []
    for _ in range(users):
        own = [int(draw.integers(videos))]
        while len(own) < length:
            follows = (own[-1] + 1) % videos
            leaps = follows in own or (len(own) < length - 1 and draw.random() < noise)
            left = np.setdiff1d(np.arange(videos), own)
            own.append(int(draw.choice(left)) if leaps else follows)
        watched.append(np.array(own))
    nothing = np.zeros(videos, dtype=np.int64)
    return Planted(
        _log(watched, videos), nothing, np.zeros(users, np.int64), _texts(np.arange(videos), draw)
    )


def ranked_above_others(scorer: Scorer, planted: Planted) -> float:
    """The share of pairs in which a held-out video scores above one of a group not its own."""
    case = planted.case()
    scores = scorer.scores(case.train, case.users)
    own = scores[np.arange(len(scores)), case.relevant]
    others = planted.groups[None, :] != planted.groups[case.relevant][:, None]
    return float((own[:, None] > scores)[others].mean())


def metrics_of(scorer: Scorer, case: Case) -> dict[str, float]:
    """Means over the case's users, by name."""
    gains = gains_of(case, rank(scorer, case, seed=0))
    return dict(zip(NAMES, gains.mean(axis=0).tolist(), strict=True))


def _log(watched: list[NDArray[np.int64]], videos: int) -> Log:
    lengths = [len(own) for own in watched]
    count = sum(lengths)
    return Log(
        users=[UserId(f"u{number}") for number in range(len(watched))],
        videos=videos,
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        rows=np.concatenate(watched).astype(np.int32),
        weights=np.ones(count, dtype=np.float32),
        times=np.concatenate([np.arange(length, dtype=np.float64) for length in lengths]),
    )


def _texts(groups: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.float32]:
    centres = draw.normal(size=(int(groups.max()) + 1, TEXT))
    texts = centres[groups] + draw.normal(0, 0.3, (len(groups), TEXT))
    made: NDArray[np.float32] = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    return made.astype(np.float32)
