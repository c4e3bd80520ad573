"""How a model is made: from the settings, and as the registry remembers it."""

from datetime import datetime
from typing import Any

import msgspec

from core.settings import Settings
from embeddings.content_model import ContentConfig
from embeddings.text import REVISION

SEED = 1


def config_of(settings: Settings) -> ContentConfig:
    """The hyper-parameters in force."""
    return ContentConfig(recent=settings.state_recent)


def params(settings: Settings, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """What the registry keeps of how a model was made; `content_revision` is read by the sweep."""
    asked = {"start": start, "end": end, "content_revision": REVISION, "seed": SEED}
    return {**msgspec.to_builtins(asked), **msgspec.to_builtins(config_of(settings))}
