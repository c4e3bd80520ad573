"""What is measured, for Prometheus; open, and on a port of its own where one is set."""

import asyncio

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.response.base import ASGIResponse

from core.exposition import CONTENT_TYPE, exposition

_EXAMPLE = """\
# HELP upnext_lists_total Users' own lists: local, redis, stale (either, past its soft age) or miss.
# TYPE upnext_lists_total counter
upnext_lists_total{outcome="local"} 1024.0
"""

_TYPE = CONTENT_TYPE.removesuffix("; charset=utf-8")  # which the framework adds


@get(
    "/metrics",
    summary="What is counted and measured, in Prometheus' text format",
    description="Of all workers of this API together. Not here when it has a port of its own.",
    operation_id="metrics",
    tags=["health"],
    media_type="text/plain",
    responses={
        200: ResponseSpec(
            str,
            generate_examples=False,
            description="The metrics.",
            media_type="text/plain",
            examples=[Example(summary="One of them", value=_EXAMPLE)],
        )
    },
)
async def metrics() -> ASGIResponse:
    """All metrics of all workers."""
    return ASGIResponse(body=await asyncio.to_thread(exposition), media_type=_TYPE)


HANDLERS = (metrics,)
