"""The home: where one machine's Upnext keeps its state, its secret and who is running it.

`run/lock` is held by the one process that may start servers here, `run/stack.json` says who that
is and where its servers answer; both are void when the process has ended, however it ended.
"""

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from core.errors import SetupError
from core.settings import Settings
from storage.embedded.identity import Identity, write_private
from storage.embedded.process import STOP_SECONDS
from storage.embedded.stack import FIELDS, Endpoints

STARTED_BY_UP = "upnext up"
FREE_BYTES = 500_000_000  # a first start writes about half of it


class StackFile(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs servers in a home.

    `endpoints` and `address` are None until they answer; `command` is what its owner was started
    as; `children` are the processes to end when the owner was killed; `secret` is a file's path.
    """

    owner: Identity
    command: str
    secret: str
    endpoints: Endpoints | None = None
    address: str | None = None
    children: tuple[Identity, ...] = ()


class Home:
    """The folder named by UPNEXT_HOME, for its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.run = self.path / "run"
        self.logs = self.path / "logs"
        self.artifacts = self.path / "artifacts"
        self.secret_file = self.path / "secret"
        self.demo_mark = self.run / "demo-import"
        self.stack_file = self.run / "stack.json"

    def make(self) -> None:
        """Make its folders. Raises `SetupError` when that is not possible here."""
        try:
            for folder in (self.path, self.run, self.logs, self.artifacts):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise SetupError(
                f"{self.path} cannot be used as Upnext's home: {error.strerror}. "
                f"Point UPNEXT_HOME to a folder of yours."
            ) from error

    def secret(self) -> str:
        """The HS256 secret of this home's tokens: made once, readable by its owner only."""
        self.make()
        if not self.secret_file.exists():
            made = self.path / f".secret.{os.getpid()}"
            write_private(made, secrets.token_urlsafe(48))
            try:
                os.link(made, self.secret_file)  # of two that come together one wins
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return self.secret_file.read_text()

    @contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Be the one process that starts servers here, as `command`.

        Raises:
            SetupError: another one is; the message says where it answers.
        """
        self.make()
        lock = FileLock(self.run / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise SetupError(self._taken()) from error
        mine = StackFile(owner=Identity.own(), command=command, secret=str(self.secret_file))
        try:
            self._end_left_behind()
            self.publish(mine)
            yield
        finally:
            self.stack_file.unlink(missing_ok=True)
            lock.release()

    def publish(self, stack: StackFile) -> None:
        """Tell other commands where the servers are. Only by the holder of the lock."""
        write_private(self.stack_file, msgspec.json.encode(stack).decode())

    def stack(self) -> StackFile | None:
        """What the file says, whether its owner lives or not; None when there is none."""
        try:
            return msgspec.json.decode(self.stack_file.read_bytes(), type=StackFile)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def live(self) -> StackFile | None:
        """The running stack, None when there is none or its owner has ended."""
        stack = self.stack()
        return stack if stack is not None and stack.owner.alive else None

    def _end_left_behind(self) -> None:
        """End the children of an owner that was killed; servers have records of their own."""
        stack = self.stack()
        for child in stack.children if stack is not None else ():
            child.end(signal.SIGTERM, STOP_SECONDS)

    def _taken(self) -> str:
        stack = self.live()
        if stack is None:
            return f"Another upnext command is using {self.path}: try again in a moment."
        who = f"`{stack.command}` (process {stack.owner.pid})"
        if stack.address is not None:
            return (
                f"Upnext already runs at {stack.address}: {who}, home {self.path}. "
                f"Use that one, or stop it first: kill {stack.owner.pid}"
            )
        if stack.command == STARTED_BY_UP:
            return f"{who} is starting in {self.path}: it will print its address there."
        return f"{who} is using {self.path}: wait until it has ended, then try again."


def endpoints_of(settings: Settings) -> Endpoints:
    """The servers that `settings` name."""
    return Endpoints(**{field: getattr(settings, field) for field in FIELDS.values()})


def complete(
    settings: Settings, home: Home, endpoints: Endpoints, *, secret: bool = True
) -> Settings:
    """Fill what is not set from `endpoints` and the home, which is made. Raises `SetupError`.

    With `secret=False` tokens are signed by others where the settings name no secret.
    """
    home.make()
    found = {
        "postgres_url": settings.postgres_url or endpoints.postgres_url,
        "redis_url": settings.redis_url or endpoints.redis_url,
        "milvus_uri": settings.milvus_uri or endpoints.milvus_uri,
        "bus_url": settings.bus_url or endpoints.bus_url,
        "artifacts_url": settings.artifacts_url or home.artifacts.as_uri(),
        "home": home.path,
    }
    if secret and settings.jwt_secret is None and settings.jwt_secret_file is None:
        home.secret()
        found["jwt_secret_file"] = home.secret_file
    return settings.model_copy(update=found)
