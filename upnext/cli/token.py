"""`upnext token`."""

from datetime import timedelta
from typing import get_args

import click

from api.auth import Role
from core.settings import load
from storage.embedded.stack import Endpoints
from upnext.home import Home, complete
from upnext.tokens import make_token

A_DAY = 86_400


@click.command()
@click.option("--sub", required=True, help="Whose token: a user id, or a service's name.")
@click.option(
    "--role",
    "roles",
    type=click.Choice(get_args(Role)),
    multiple=True,
    default=("user",),
    show_default=True,
    help="What it may do; may be given more than once.",
)
@click.option(
    "--expires-in",
    type=click.IntRange(1),
    default=A_DAY,
    show_default=True,
    help="Seconds until it expires.",
)
def token(sub: str, roles: tuple[Role, ...], expires_in: int) -> None:
    """Print a token, signed with UPNEXT_JWT_SECRET or else with the secret of the home.

    \b
    Example:
      curl -H "Authorization: Bearer $(upnext token --sub ops --role admin)" \\
        http://127.0.0.1:8000/recs/models
    """  # noqa: D301
    settings = load()
    home = Home(settings.home)
    if settings.jwt_jwks_url is None or home.secret_file.exists():
        settings = complete(settings, home, Endpoints())
    click.echo(make_token(settings, sub, roles, timedelta(seconds=expires_in)))
