"""Requests that go on while something else happens."""

from collections.abc import Sequence
from itertools import cycle
from threading import Event, Thread
from types import TracebackType
from typing import Self

import httpx

CONNECTIONS = 2


class Load:
    """Asks for the users' lists in turn, until its block ends.

    Attributes:
        answers: the model version of each 200, in order; what came instead of any other answer.
    """

    def __init__(self, client: httpx.Client, users: Sequence[str]) -> None:
        self.answers: list[str] = []
        self._client = client
        self._ended = Event()
        self._threads = [
            Thread(target=self._ask, args=(users[number::CONNECTIONS],))
            for number in range(CONNECTIONS)
        ]

    def _ask(self, users: Sequence[str]) -> None:
        for user_id in cycle(users):
            if self._ended.is_set():
                return
            self.answers.append(self._version(user_id))

    def _version(self, user_id: str) -> str:
        # A connection of its own for each request, so that every worker process gets some.
        try:
            answer = self._client.get(f"/recs/{user_id}", headers={"Connection": "close"})
        except httpx.HTTPError as error:
            return repr(error)
        if answer.status_code != httpx.codes.OK:
            return answer.text
        return str(answer.json()["metadata"]["model_version"])

    def last(self, count: int) -> set[str]:
        """The different answers among the last `count`, empty while there are fewer."""
        return set(self.answers[-count:]) if len(self.answers) >= count else set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
