"""Words as small numbers. Append-only, so that snapshots of different ages can share them."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

W = TypeVar("W", bound=Hashable)
NONE = -1


class Vocabulary(Generic[W]):
    """Gives each word a code, 0, 1, 2 ... in order of arrival; a code never changes."""

    def __init__(self) -> None:
        self.words: list[W] = []
        self._codes: dict[W, int] = {}

    def __len__(self) -> int:
        return len(self.words)

    def code(self, word: W | None) -> int:
        """The word's code, a new one for a new word; `NONE` for no word."""
        if word is None:
            return NONE
        code = self._codes.setdefault(word, len(self.words))
        if code == len(self.words):
            self.words.append(word)
        return code


class Words:
    """The vocabularies of a catalogue.

    Genres and regions are kept by combination: thousands of videos share a few hundred of them.
    """

    def __init__(self) -> None:
        self.genres: Vocabulary[str] = Vocabulary()
        self.genre_sets: Vocabulary[tuple[str, ...]] = Vocabulary()
        self.region_sets: Vocabulary[frozenset[str]] = Vocabulary()
        self.creators: Vocabulary[str] = Vocabulary()
        self.languages: Vocabulary[str] = Vocabulary()

    def genre_set(self, genres: tuple[str, ...]) -> int:
        """The code of a combination of genres; its order is kept, the first is the main one."""
        for genre in genres:
            self.genres.code(genre)
        return self.genre_sets.code(genres)

    def genre_table(self, known: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Which genres each combination has, bool (combinations, genres).

        `known` is an earlier table: it is given back when no word came since.
        """
        shape = (len(self.genre_sets), len(self.genres))
        if known is not None and known.shape == shape:
            return known
        table = np.zeros(shape, dtype=np.bool_)
        for row, genres in enumerate(self.genre_sets.words):
            table[row, [self.genres.code(genre) for genre in genres]] = True
        return table

    def region_set(self, regions: Iterable[str]) -> int:
        """The code of a combination of regions, in lower case: they are compared, never shown."""
        return self.region_sets.code(frozenset(map(str.casefold, regions)))

    def regions_with(self, region: str) -> NDArray[np.bool_]:
        """Which combinations let a video be shown in a region, bool (combinations,)."""
        asked, sets = region.casefold(), self.region_sets.words
        return np.array([not regions or asked in regions for regions in sets], dtype=np.bool_)
