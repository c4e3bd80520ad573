"""A full disk: the one failure of a machine whose owner can mend it from a single sentence."""

import errno
from typing import Final

FULL: Final = "The disk is full: free some space and try again."


def is_full(error: BaseException) -> bool:
    """Whether this error says that the disk is full; numpy says so only in words."""
    if not isinstance(error, OSError):
        return False
    return error.errno == errno.ENOSPC or "requested and" in str(error)
