"""One list of candidates from what several sources found."""

from collections.abc import Mapping, Sequence
from itertools import compress

from core.types import Candidate, Source, VideoId
from retrieval.query import Query, candidates


def merge(
    found: Mapping[Source, Sequence[Candidate]],
    query: Query,
    quotas: Mapping[Source, int],
) -> list[Candidate]:
    """Each allowed video once, at most `quotas` of each source, in the order of `found`.

    The first source that found a video keeps the credit, the highest similarity counts. What is
    unknown, not eligible, watched or excluded is dropped here whatever the source let through.
    """
    pool = [candidate for part in found.values() for candidate in part]
    allowed = query.allows(query.snapshot.rows([candidate.video_id for candidate in pool]))
    room = dict(quotas)
    merged: dict[VideoId, Candidate] = {}
    for candidate in compress(pool, allowed.tolist()):
        video_id, source = candidate.video_id, candidate.source
        first = merged.get(video_id)
        if first is not None:
            if candidate.similarity > first.similarity:
                merged[video_id] = Candidate(video_id, first.source, candidate.similarity)
        elif room[source]:
            room[source] -= 1
            merged[video_id] = candidate
    return list(merged.values())


def filled(first: Sequence[Candidate], more: Sequence[Candidate], to: int) -> list[Candidate]:
    """`first`, then those of `more` that are not in it, until there are `to`."""
    there = {candidate.video_id for candidate in first}
    others = [candidate for candidate in more if candidate.video_id not in there]
    return [*first, *others[: max(to - len(first), 0)]]


def top_up(merged: Sequence[Candidate], query: Query, to: int) -> list[Candidate]:
    """`merged`, filled with popular videos until there are `to`, or no more allowed ones."""
    if len(merged) >= to:
        return list(merged)
    rows = query.first(query.snapshot.popular_rows, to + len(merged))
    return filled(merged, candidates(query, rows, "popular"), to)
