"""How a model is made: from the settings, and as the registry remembers it."""

from dataclasses import asdict
from datetime import datetime
from platform import node
from typing import Any

import msgspec

from core.settings import Settings
from core.types import Model
from embeddings.content_model import ContentConfig
from embeddings.text import REVISION
from storage.embedded.identity import Identity

SEED = 1


def config_of(settings: Settings) -> ContentConfig:
    """The hyper-parameters in force."""
    return ContentConfig(recent=settings.state_recent)


def params(settings: Settings, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """What the registry keeps of how a model was made, and by whom.

    `content_revision` is read by the sweep, `owner` by `owner_has_ended`.
    """
    asked: dict[str, Any] = {"start": start, "end": end, "content_revision": REVISION, "seed": SEED}
    asked["owner"] = {"host": node(), **asdict(Identity.own())}
    return {**msgspec.to_builtins(asked), **msgspec.to_builtins(config_of(settings))}


def owner_has_ended(model: Model) -> bool:
    """Whether the process that follows this run ended; False where this machine cannot know."""
    owner = model.params.get("owner")
    if owner is None or owner["host"] != node():
        return False
    return not Identity(owner["pid"], owner["created"]).alive
