"""What is measured of calls of the artifact store, whichever it is."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from core.tracing import calling

P = ParamSpec("P")
T = TypeVar("T")


def measured(method: Callable[P, T]) -> Callable[P, T]:
    """The same method, each call measured and a span named by it."""
    name = f"artifacts {method.__name__}"

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with calling("artifacts", name):
            return method(*args, **kwargs)

    return call
