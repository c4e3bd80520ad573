"""What the text encoder reads of a video, and the name of the space that comes out."""

import re

from core.hashing import hash64
from core.types import Video

ENCODER = "minilm_l6_v2"
MAX_TOKENS = 128  # longer texts cost more than they add: attention grows with the square
GENRE_SHARE = 0.3  # of the genres' own vector, added to the whole text's
TEMPLATE = 1  # raise it when what is encoded changes: `text_of`, `genres_of`, `GENRE_SHARE`
REVISION = f"{ENCODER}_{MAX_TOKENS}_t{TEMPLATE}"
"""Vectors of two revisions never meet: it is in the names of the segments and the collection."""

CONTENT_DIM = 384
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")


def text_of(video: Video) -> str:
    """Title, genres and description, a line each; a year at the title's end is left out.

    With the year in it, films resemble each other for being of the same age.
    """
    title = _YEAR.sub("", video.title)
    lines = (title, genres_of(video), video.description)
    return "\n".join(line for line in lines if line)


def genres_of(video: Video) -> str:
    """The genres alone: encoded once more, they keep a word in the title from outweighing them."""
    return ", ".join(video.genres)


def text_hash(text: str, genres: str) -> int:
    """64-bit hash of what is encoded of a video: equal hashes need no second encoding."""
    return hash64(f"{genres}\n{text}")
