"""How many lists are made at the same time: no more than end soon, so that all are answered."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

PATIENCE_SECONDS = 0.15
WEIGHT = 0.1  # of the last computation in what one is taken to cost
FEW = 4
RENEWALS = 0.5  # the share of the room that renewals may fill


class Overloaded(Exception):
    """This process makes as many lists as it can: answer with one that is there."""


class Admission:
    """Lets computations in while they promise to end in time. For one event loop.

    Computations share one core and one index, so each takes the longer the more there are. By
    Little's law the next one ends after (those inside, itself included) / (how many end a second
    while any is inside): it is let in when that is no more than `patience_seconds` and there is
    room. The first few always are: the cost of one that waits for others, not for the core, is
    not known before several are inside.
    """

    def __init__(
        self,
        most: int,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an admission.

        Args:
            most: computations inside at the same time.
            patience_seconds: the longest that one may be expected to take.
            clock: seconds, never going back.
        """
        self._most = most
        self._patience = patience_seconds
        self._clock = clock
        self._cost = patience_seconds / most  # seconds for each that ends; until one has, a guess
        self._inside = 0
        self._since = 0.0  # when the last one ended, or the first one came in

    @property
    def inside(self) -> int:
        """How many computations are under way."""
        return self._inside

    @asynccontextmanager
    async def enter(self, *, renewal: bool = False) -> AsyncIterator[None]:
        """Room for one computation for the time of the block.

        Args:
            renewal: of a list that can still be shown: it gives way first.

        Raises:
            Overloaded: there is no room; begin nothing.
        """
        if not self._room(RENEWALS if renewal else 1.0):
            raise Overloaded
        if not self._inside:
            self._since = self._clock()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._ended()

    def _room(self, share: float) -> bool:
        if self._inside < share * min(FEW, self._most):
            return True
        cost = max(self._cost, self._after(self._clock()))  # as if one ended only now
        there = self._inside + 1
        return there <= share * self._most and there * cost <= share * self._patience

    def _ended(self) -> None:
        now = self._clock()
        self._cost, self._since = self._after(now), now

    def _after(self, now: float) -> float:
        """The cost when one ends at that time: a moving average, which one stall hardly moves."""
        return self._cost + WEIGHT * (now - self._since - self._cost)
