"""What the demo's videos are about, read from themes.toml."""

from importlib.resources import files

import msgspec


class Topic(msgspec.Struct, frozen=True):
    """One corner of a theme: its title words and its description sentences."""

    name: str
    subjects: tuple[str, ...]
    sentences: tuple[str, ...]


class Theme(msgspec.Struct, frozen=True):
    """A field of interest. `genres` goes from wide to narrow."""

    name: str
    genres: tuple[str, ...]
    places: tuple[str, ...]
    topics: tuple[Topic, ...]


class _File(msgspec.Struct):
    theme: tuple[Theme, ...]


def load_themes() -> tuple[Theme, ...]:
    """The themes in the file's order."""
    text = (files("ingest.demo") / "themes.toml").read_bytes()
    return msgspec.toml.decode(text, type=_File).theme
