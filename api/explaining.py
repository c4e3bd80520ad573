"""Explanations of lists: what ranking read of each entry, and the watched video nearest to it."""

from collections.abc import Mapping, Sequence

from api.gathered import Gathered
from api.moment import Moment, shown_score
from core.hashing import hash64_many
from core.types import Explanation, Ranked, UserState, VideoId
from ranking.blend import in_force
from ranking.explain import blended, by_popularity, nearest_watched
from ranking.features import features_of

Explanations = Mapping[VideoId, Explanation]


def explained(
    ranked: Sequence[Ranked], found: Gathered, state: UserState | None, moment: Moment
) -> Explanations:
    """Of entries that were ranked among the candidates `found`."""
    features, weights = in_force(
        features_of(found.columns, found.vectors, found.asker),
        moment.config,
        moment.model_weights,
        personal=found.asker.vector is not None,
    )
    place = {entry.video_id: at for at, entry in enumerate(found.candidates)}
    because = nearest(ranked, state, moment)
    return {
        entry.video_id: Explanation(
            blended(features, weights, place[entry.video_id], shown_score(entry)), near
        )
        for entry, near in zip(ranked, because, strict=True)
    }


def explained_popularity(
    ranked: Sequence[Ranked], state: UserState | None, moment: Moment
) -> Explanations:
    """Of entries whose score is their popularity."""
    because = nearest(ranked, state, moment)
    return {
        entry.video_id: Explanation(by_popularity(shown_score(entry)), near)
        for entry, near in zip(ranked, because, strict=True)
    }


def nearest(
    ranked: Sequence[Ranked], state: UserState | None, moment: Moment
) -> list[VideoId | None]:
    """The watched video nearest to each entry, in the space of the live version."""
    if moment.live is None or state is None:
        return [None] * len(ranked)
    recent = [watch.video_id for watch in state.recent]
    watched, known = moment.live.items.take(recent)
    with_vector = [id_ for id_, is_known in zip(recent, known.tolist(), strict=True) if is_known]
    vectors, _ = moment.live.items.at(hash64_many(entry.video_id for entry in ranked))
    return nearest_watched(vectors, watched, with_vector)
