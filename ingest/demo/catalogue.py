"""The demo's videos: every topic's subjects, each seen from a few angles."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from core.types import Video, VideoId
from ingest.demo.angles import ANGLES, Angle
from ingest.demo.themes import Theme, Topic, load_themes

VIDEOS_A_SUBJECT = 5
OLDEST_DAYS = 3 * 365
MOST_DRAW = 20.0
LANGUAGES = ("en",) * 9 + ("es", "fr", "de")
SPOKEN = {"es": "In Spanish with subtitles.", "fr": "In French with subtitles.",
          "de": "In German with subtitles."}  # fmt: skip
FIRST_NAMES = (
    "Mara", "Jonas", "Amina", "Teo", "Ingrid", "Rafael", "Yuki", "Noor", "Elias", "Priya",
    "Lucia", "Marek", "Hana", "Owen", "Sofia", "Kwame", "Greta", "Dario", "Leila", "Tomas",
)  # fmt: skip
LAST_NAMES = ("Lind", "Okafor", "Moreau", "Sato", "Brandt", "Rossi")


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, where it belongs, and how much it draws people (a long tail)."""

    video: Video
    theme: int
    topic: int
    draw: float


@dataclass(frozen=True, slots=True)
class Creator:
    """Someone who makes videos about one theme."""

    name: str
    language: str

    @property
    def id(self) -> str:
        """The name as an id."""
        return self.name.lower().replace(" ", "-")


class Script(NamedTuple):
    """What one video is about, how, and by whom."""

    theme: Theme
    topic: Topic
    subject: str
    angle: Angle
    creator: Creator


def make_clips(seed: int, end: datetime) -> list[Clip]:
    """All videos by theme and topic, 25 a topic; no two titles are equal."""
    rng = Random(f"{seed} catalogue")  # noqa: S311 - not for secrets
    return [
        clip
        for number, theme in enumerate(load_themes())
        for clip in _theme_clips(number, theme, end, rng)
    ]


def _theme_clips(number: int, theme: Theme, end: datetime, rng: Random) -> list[Clip]:
    creators = [
        Creator(f"{FIRST_NAMES[number]} {last}", rng.choice(LANGUAGES)) for last in LAST_NAMES
    ]
    clips: list[Clip] = []
    for index, topic in enumerate(theme.topics):
        for subject in topic.subjects:
            for angle in rng.sample(ANGLES, VIDEOS_A_SUBJECT):
                script = Script(theme, topic, subject, angle, rng.choice(creators))
                video_id = f"{theme.name.replace(' ', '-')}-{len(clips) + 1:03d}"
                video = _video(video_id, script, end, rng)
                draw = min(rng.paretovariate(1.2), MOST_DRAW)
                clips.append(Clip(video, number, index, draw))
    return clips


def _description(script: Script, words: dict[str, str], rng: Random) -> str:
    sentences = [
        script.angle.opening.format(**words),
        *rng.sample(script.topic.sentences, rng.randint(1, len(script.topic.sentences))),
        f"The place: {rng.choice(script.theme.places)}. One of a series on {script.topic.name}.",
        SPOKEN.get(script.creator.language, ""),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _video(video_id: str, script: Script, end: datetime, rng: Random) -> Video:
    subject, creator = script.subject, script.creator
    words = {"s": subject, "S": subject[0].upper() + subject[1:], "who": creator.name}
    shortest, longest = script.angle.minutes
    age = timedelta(seconds=int(OLDEST_DAYS * 86_400 * rng.random() ** 1.5))
    return Video(
        id=VideoId(video_id),
        title=script.angle.title.format(**words),
        description=_description(script, words, rng),
        genres=tuple(reversed(script.theme.genres)),
        duration_seconds=float(rng.randint(shortest * 60, longest * 60)),
        language=creator.language,
        creator_id=creator.id,
        published_at=end - age,
    )
