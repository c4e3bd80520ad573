"""Children of `up`: watched, restarted a few times, then given up."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from core.errors import UpnextError
from storage.embedded.process import ChildProcess

RESTARTS = 3
WITHIN_SECONDS = 300.0
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Member:
    """A child and how it is started again."""

    child: ChildProcess
    start: Callable[[], None]


@dataclass
class Supervisor:
    """Restarts members that end by themselves, at most 3 times in 5 minutes each."""

    members: Collection[Member]
    say: Callable[[str], None]
    restarted: Callable[[], None] = lambda: None
    _ends: dict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=RESTARTS + 1))
    )

    def watch(self) -> None:
        """Watch until a signal raises, or a member cannot be kept alive.

        Raises:
            SetupError: the member's name, the end of its log, where the rest is.
        """
        while True:
            self.check()
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Restart what has ended since the last look. Raises as `watch`."""
        for member in self.members:
            if not member.child.alive:
                self._restart(member)

    def _restart(self, member: Member) -> None:
        child, ends = member.child, self._ends[member.child.name]
        ends.append(time.monotonic())
        if len(ends) > RESTARTS and ends[-1] - ends[0] < WITHIN_SECONDS:
            raise child.failed(f"ended {len(ends)} times within 5 minutes; everything is stopped")
        self.say(f"{child.name} ended unexpectedly, starting it again. Its log is {child.log}")
        try:
            member.start()
        except UpnextError as error:
            raise child.failed(f"ended and could not be started again ({error})") from error
        self.restarted()
