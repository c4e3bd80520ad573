"""Where a command's stores are: the environment's, the running stack's, or its own for a while."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import click

from core.access import check
from core.errors import SetupError
from core.settings import Settings, load, traces_are_wanted
from storage.embedded.stack import FIELDS, EmbeddedStack, Endpoints, StoreName
from storage.postgres import migrate
from upnext.cli.console import console
from upnext.home import Home, complete

ALL: tuple[StoreName, ...] = tuple(FIELDS)


@contextmanager
def stores(needs: Collection[StoreName] = ALL, *, at_revision: bool = True) -> Iterator[Settings]:
    """Settings whose URLs all answer, for the time of the block.

    Each URL comes from the environment when it is set there; else from the running `upnext up` of
    the same home; else from an embedded server that runs until the block ends, its database
    migrated. `needs` names the stores the command uses, so that it need not wait for others;
    `artifacts_url` and a secret of tokens are always filled. With `at_revision=False` the revision
    of a database that is not ours to migrate is not looked at.

    Enter it from the main thread and outside of an event loop:

        with stores(needs=("postgres", "redis")) as settings:
            asyncio.run(work(settings))

    Raises:
        SetupError: a server cannot be started, another command is using the home, or a database
            of the environment is at a revision that this program cannot run on.
    """
    settings = load()
    home = Home(settings.home)
    stack = home.live()
    if stack is not None and stack.endpoints is not None:
        yield complete(settings, home, stack.endpoints)
        return
    missing = [name for name in needs if getattr(settings, FIELDS[name]) is None]
    if not missing:
        if at_revision:
            _check_revision(settings, needs)
        yield complete(settings, home, Endpoints())
        return
    context = click.get_current_context(silent=True)
    with home.lock(context.command_path if context else "upnext"):
        console.print(f"Starting {', '.join(missing)} for this command ...", style="dim")
        with EmbeddedStack(home.path, missing) as servers:
            filled = complete(settings, home, servers.endpoints)
            if "postgres" in missing:
                migrate.upgrade(filled)
            elif at_revision:
                _check_revision(filled, needs)
            yield filled


def connected() -> Settings:
    """Settings whose URLs are all known, without starting anything: for `serve` and `worker`.

    Raises:
        SetupError: some are neither in the environment nor in the running stack of the home, a
            file of a secret or of TLS cannot be used, or a variable of traces is wrong: said here,
            by one line, rather than by each process that is started.
    """
    settings = load()
    check(settings)
    traces_are_wanted()
    home = Home(settings.home)
    stack = home.live()
    if stack is not None and stack.endpoints is not None:
        return complete(settings, home, stack.endpoints)
    needed = [*FIELDS.values(), "artifacts_url"]
    if settings.jwt_secret_file is None and settings.jwt_jwks_url is None:
        needed.append("jwt_secret")
    unset = [f"UPNEXT_{name.upper()}" for name in needed if getattr(settings, name) is None]
    if unset:
        raise SetupError(f"Set {', '.join(unset)}, or run `upnext up`, which needs none of them.")
    return complete(settings, home, Endpoints(), secret=False)


def _check_revision(settings: Settings, needs: Collection[StoreName]) -> None:
    if "postgres" not in needs or settings.postgres_url is None:
        return
    found = migrate.current(settings)
    if not migrate.serves(found):
        raise SetupError(
            f"The database of UPNEXT_POSTGRES_URL is at revision {found or 'none'}, this program "
            f"needs {migrate.head()}: run `upnext migrate`."
        )
