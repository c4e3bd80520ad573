"""The parameters by which a list is narrowed, and the filters they make."""

from typing import Annotated

import msgspec
from litestar.params import QueryParameter

from core.errors import InvalidInput
from core.types import Filters, VideoId
from ingest.checks import HIGHEST_MATURITY, LONGEST_TAG, check_id, check_text

MOST_GENRES = 32
MOST_EXCLUDED = 500

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TAG)]
Genres = Annotated[
    list[Tag] | None,
    QueryParameter(
        name="genre",
        max_items=MOST_GENRES,
        description="Only videos that have it; given several times: any of them. Without case.",
    ),
]
Region = Annotated[
    str | None,
    QueryParameter(
        name="region",
        min_length=1,
        max_length=LONGEST_TAG,
        description="Only videos that may be shown there. Without case.",
    ),
]
MaxMaturity = Annotated[
    int | None,
    QueryParameter(
        name="max_maturity",
        ge=0,
        le=HIGHEST_MATURITY,
        description="Only videos whose minimum age is not above it, years.",
    ),
]
Exclude = Annotated[
    str | None,
    QueryParameter(
        name="exclude",
        description=f"Ids that must not come, up to {MOST_EXCLUDED}, between commas.",
    ),
]


def filters_of(
    genre: list[str] | None, region: str | None, max_maturity: int | None, exclude: str | None
) -> Filters:
    """What a caller narrows a list to.

    Raises:
        InvalidInput: a text that no video can have, or an id that is none.
    """
    texts = [("genre", text) for text in genre or ()]
    for field, text in [*texts, ("region", region)] if region is not None else texts:
        if not check_text(text, field, LONGEST_TAG).strip():
            raise InvalidInput(f"{field} is blank", field=field)
    return Filters(
        genres=frozenset(genre or ()),
        region=region,
        max_maturity=max_maturity,
        exclude=frozenset() if exclude is None else _excluded(exclude),
    )


def _excluded(given: str) -> frozenset[VideoId]:
    ids = given.split(",")
    if len(ids) > MOST_EXCLUDED:
        raise InvalidInput(f"exclude has {len(ids)} ids, at most {MOST_EXCLUDED}", field="exclude")
    return frozenset(VideoId(check_id(id_, "exclude")) for id_ in ids)
