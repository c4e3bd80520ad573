"""Names of what is kept of a user."""

from core.types import UserId


def keys_of(user_id: UserId) -> tuple[str, str]:
    """Names of the user's state and lists; the braces put them in one slot of a cluster."""
    return f"u:{{{user_id}}}:state", f"u:{{{user_id}}}:lists"
