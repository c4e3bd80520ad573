"""How a model is made: from the settings, and as the registry remembers it."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from platform import node
from typing import Any

import msgspec

from core.types import Model
from embeddings.text import REVISION
from storage.embedded.identity import Identity

SEED = 1
BOOT = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = Path("/proc/self/ns/pid")


def params(start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """What the registry keeps of how a model is made, and by whom, before its data is known.

    `content_revision` is read by the sweep, `owner` by `owner_has_ended`.
    """
    asked: dict[str, Any] = {"start": start, "end": end, "content_revision": REVISION, "seed": SEED}
    asked["owner"] = {"place": _place(), **asdict(Identity.own())}
    return dict(msgspec.to_builtins(asked))


def owner_has_ended(model: Model) -> bool:
    """Whether the process that follows this run ended; False where this process cannot know."""
    owner = model.params.get("owner", {})
    if owner.get("place") != _place():
        return False
    return not Identity(owner["pid"], owner["created"]).alive


def _place() -> str:
    """Where process numbers mean the same: a container or a machine, until it is started anew."""
    try:
        return f"{BOOT.read_text().strip()} {PID_NAMESPACE.readlink()}"
    except OSError:  # no Linux
        return node()
