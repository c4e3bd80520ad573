"""Leaving without losing anybody: a process that is about to stop says so while it still answers.

Whoever follows `/health/ready` sends nothing new; whoever keeps a connection is told with the next
answer that it ends, and so never sends a request into one that is being closed.
"""

from litestar.types import Message, Scope, Send

_CLOSES = (b"connection", b"close")
_KEPT = frozenset({"1.0", "1.1"})  # later ones end a connection in order by themselves


class Draining:
    """Whether this process is about to stop.

    When all of its port's stop, none is ready (`begun`). One that another takes the place of only
    sends its callers there.
    """

    def __init__(self) -> None:
        self.begun = False
        self._parting = False

    def begin(self) -> None:
        """From now on it is not ready, and answers end their connections."""
        self.begun = self._parting = True

    def part(self) -> None:
        """From now on answers end their connections."""
        self._parting = True

    def telling(self, scope: Scope, send: Send) -> Send:
        """The request's own channel, or once it has begun, one that ends the connection."""
        if not self._parting or scope["http_version"] not in _KEPT:
            return send

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message["headers"] if each[0].lower() != _CLOSES[0]]
                message["headers"] = [*others, _CLOSES]
            await send(message)

        return sent
