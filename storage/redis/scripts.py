"""A script that is run for many, in one round trip to each server."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from storage.redis.client import Command, GuardedRedis


class Script:
    """Not the driver's own object: in a pipeline that asks each time whether the server has it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def each(
        self, client: GuardedRedis, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """What the script says to each call's keys and arguments, or the error it ends with."""
        commands: list[Command] = [
            ("EVALSHA", self._sha, len(keys), *keys, *args) for keys, args in calls
        ]
        answers = await client.together(commands)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # the server has just started: those were not done, the others were
            await client.script_load(self._text)
            again = await client.together([commands[at] for at in unknown])
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        return answers
