"""How much one interaction says about a taste, 0 (nothing) to 1 (everything)."""

LEAST = 0.05
FULL_MARKS = 5.0


def watch_weight(watched_seconds: float | None, video_seconds: float | None) -> float:
    """The share that was watched, clipped to 0.05..1; 1 when it is not known."""
    if watched_seconds is None or not video_seconds:
        return 1.0
    return min(max(watched_seconds / video_seconds, LEAST), 1.0)


def rating_weight(rating: float) -> float:
    """A rating of 0.5..5 as `(rating - 1) / 4`, clipped to 0.05..1."""
    return min(max((rating - 1.0) / (FULL_MARKS - 1.0), LEAST), 1.0)
