"""Files by key in memory, for those who fetch what jobs made."""

from io import BytesIO

from core.errors import NotFound


class MemoryFiles:
    """`api.jobs.ResultStore`; `files` and, for what is to be followed, `links` by key."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}

    def hand_out(self, key: str, seconds: int) -> str | BytesIO:  # noqa: ARG002 - none ends here
        """The link of that key, else the open file."""
        if key in self.links:
            return self.links[key]
        if key not in self.files:
            raise NotFound(f"The artifact store has no {key}.")
        return BytesIO(self.files[key])
