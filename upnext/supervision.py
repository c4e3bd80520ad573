"""Children of `up`: watched, restarted a few times, then given up."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from core.errors import SetupError, UpnextError
from storage.embedded.process import ChildProcess
from upnext.signals import Stop

RESTARTS = 3
WITHIN_SECONDS = 300.0
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Member:
    """A child and how it is started again; without one that is not `needed` the rest goes on."""

    child: ChildProcess
    start: Callable[[], None]
    needed: bool = True


@dataclass
class Supervisor:
    """Restarts members that end by themselves, at most 3 times in 5 minutes each.

    One that cannot be kept alive is an error when it is needed, and else left as it is.
    """

    members: Collection[Member]
    say: Callable[[str], None]
    restarted: Callable[[], None] = lambda: None
    _given_up: set[str] = field(default_factory=set)
    _ends: dict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=RESTARTS + 1))
    )

    def watch(self, stop: Stop) -> None:
        """Watch until a signal raises, or a needed member cannot be kept alive.

        Raises:
            SetupError: the member's name, the end of its log, where the rest is.
        """
        while True:
            stop.check()
            self.check()
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Restart what has ended since the last look. Raises as `watch`."""
        for member in self.members:
            if not member.child.alive and member.child.name not in self._given_up:
                self._keep(member)

    def _keep(self, member: Member) -> None:
        try:
            self._restart(member)
        except SetupError as error:
            if member.needed:
                raise
            self._given_up.add(member.child.name)
            self.say(f"Going on without it: {error}")

    def _restart(self, member: Member) -> None:
        child, ends = member.child, self._ends[member.child.name]
        ends.append(time.monotonic())
        if len(ends) > RESTARTS and ends[-1] - ends[0] < WITHIN_SECONDS:
            raise child.failed(f"ended {len(ends)} times within 5 minutes")
        self.say(f"{child.name} ended unexpectedly, starting it again. Its log is {child.log}")
        try:
            member.start()
        except UpnextError as error:
            raise child.failed(f"ended and could not be started again ({error})") from error
        self.restarted()
