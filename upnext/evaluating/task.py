"""What an evaluation is asked to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import InvalidInput
from core.settings import Settings
from upnext.evaluating.fitting import BASELINES, ModelName, check_libraries

Protocol = Literal["leave-last-out", "split", "candidates", "temporal"]
PROTOCOLS: tuple[Protocol, ...] = ("leave-last-out", "split", "candidates", "temporal")
TESTED = {"split": "user_id, video_id", "candidates": "user_id, video_id, negatives"}
"""What the test file of a protocol has; the others make their own test part."""

Tell = Callable[[str, float, str], None]
"""Hears what is being done, the share of it that is, 0..1, and a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is judged, on what, and how.

    `cut_off` as `upnext.evaluating.cut_off` reads it · `seeds`, one run each · `cache`, a folder
    where text vectors are kept · of the `settings` those that shape lists count.
    """

    models: tuple[ModelName, ...]
    interactions: Path
    protocol: Protocol
    cache: Path
    settings: Settings
    test: Path | None = None
    cut_off: str | None = None
    videos: Path | None = None
    against: Path | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1,)
    end_to_end: bool = False
    page: bool = False

    @property
    def recent(self) -> int:
        """How many of a user's newest watches make a vector."""
        return self.settings.state_recent

    def check(self) -> None:
        """Raises `InvalidInput`: options contradict each other, or a library is missing."""
        wanted = TESTED.get(self.protocol)
        if wanted is not None and self.test is None:
            raise InvalidInput(
                f"--protocol {self.protocol} needs --test FILE with {wanted}.", field="test"
            )
        if wanted is None and self.test is not None:
            raise InvalidInput(
                f"--protocol {self.protocol} makes its own test part of --interactions: leave "
                f"--test out, or choose {' or '.join(TESTED)}.",
                field="test",
            )
        if self.cut_off is not None and self.protocol != "temporal":
            raise InvalidInput("--cut-off goes with --protocol temporal.", field="cut_off")
        if self.protocol == "candidates" and (self.against or self.end_to_end):
            raise InvalidInput(
                "--against and --end-to-end judge lists of the whole catalogue: choose another "
                "protocol than candidates.",
                field="protocol",
            )
        if self.end_to_end and not {*self.models} - BASELINES:
            raise InvalidInput(
                "--end-to-end makes the service's lists, which a baseline has none of: choose als, "
                "sequence or content as --model.",
                field="end_to_end",
            )
        if self.params and len(self.models) > 1:
            raise InvalidInput("--params goes with one --model.", field="params")
        if "content" in self.models and self.videos is None:
            raise InvalidInput(
                "A content model is made of what videos say: give their titles, genres and "
                "descriptions with --videos FILE.",
                field="videos",
            )
        check_libraries(self.models, texts=self.videos is not None, page=self.page)
