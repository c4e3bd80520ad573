"""The span of a request, in its caller's trace if it names one (W3C `traceparent`)."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from core.tracing import NO_TRACE, Span, Trace, extract, root

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PARENT: Final = b"traceparent"
_CARRIED: Final = {_PARENT, b"tracestate"}
_FAULT: Final = 500

Answer = Callable[[Any, Any, Any], Awaitable[None]]


async def traced(answer: Answer, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    """Have a request answered within its span, which is named by the route's template.

    The path is not told: it has the user's id.
    """
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
    with root(method, kind="server", caused_by=_caller_of(scope), attributes=attributes) as span:
        if not span.recorded:
            await answer(scope, receive, send)
            return
        try:
            await answer(scope, receive, _noting(send, span))
        finally:
            route = scope.get("path_template")
            if route:
                span.set("http.route", route)
                span.rename(f"{method} {route}")


def _caller_of(scope: Any) -> Trace:  # noqa: ANN401 - the framework has many names for a scope
    headers = scope["headers"]
    if not any(name == _PARENT for name, _ in headers):
        return NO_TRACE
    carried = {
        name.decode(): value.decode("latin-1") for name, value in headers if name in _CARRIED
    }
    return extract(carried)


def _noting(send: Any, span: Span) -> Any:  # noqa: ANN401 - ASGI
    """Tells the span which status is sent."""

    async def sending(message: Any) -> None:  # noqa: ANN401 - ASGI
        if message["type"] == "http.response.start":
            status = message["status"]
            span.set("http.response.status_code", status)
            if status >= _FAULT:
                span.failed(str(status))
        await send(message)

    return sending
