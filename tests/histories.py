"""Small histories for tests."""

from datetime import UTC, datetime, timedelta

from core.hashing import event_key
from core.types import Interaction, UserId, VideoId

START = datetime(2025, 3, 1, 12, tzinfo=UTC)


def watch(
    event: str, user: str, video: str, *, hours: float = 0, weight: float = 0.3
) -> Interaction:
    """A watch `hours` after `START`, named by `event`."""
    return Interaction(
        key=event_key("test", event),
        user_id=UserId(user),
        video_id=VideoId(video),
        kind="watch",
        occurred_at=START + timedelta(hours=hours),
        weight=weight,
    )
