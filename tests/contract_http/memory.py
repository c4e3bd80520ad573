"""The application over stores in memory."""

from litestar import Litestar

from api.auth import TokenVerifier
from api.http import application
from tests.asking import SECRET
from tests.serving import World


def served_in_memory() -> Litestar:
    """Every route there is, over a world of its own."""
    return application(World().compose, TokenVerifier(SECRET))
