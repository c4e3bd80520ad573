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

    The first source that found a video keeps the credit. What is unknown, not eligible, watched or
    excluded is dropped here whatever the source let through; it would only have taken the place of
    another.
    """
    merged: dict[VideoId, Candidate] = {}
    for source, part in found.items():
        _take_in(merged, part, quotas[source])
    allowed = query.allows(query.snapshot.rows(list(merged)))
    return list(compress(merged.values(), allowed.tolist()))


def _take_in(merged: dict[VideoId, Candidate], part: Sequence[Candidate], room: int) -> None:
    for candidate in part:
        if candidate.video_id in merged:
            continue
        if not room:
            return
        room -= 1
        merged[candidate.video_id] = candidate


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
