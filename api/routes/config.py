"""The ranking configuration: what is in force, what was, what is to be."""

from typing import Annotated, Any

from litestar import get, put
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter
from litestar.response.base import ASGIResponse

from api.configs import ConfigBody, ConfigVersion, ConfigVersions
from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, json

_BODY: dict[str, Any] = {
    "weights": {
        "similarity": 0.5,
        "popularity": 0.2,
        "genre": 0.15,
        "recency": 0.1,
        "exploration": 0.05,
    },
    "diversity": 0.375,
    "creator_cap": 3,
    "candidates": 300,
    "soft_age_seconds": 600,
    "hard_age_seconds": 3600,
}
_FIRST: dict[str, Any] = {
    "version": 1,
    "preset": "model",
    **{name: value for name, value in _BODY.items() if name != "weights"},
}
_SECOND: dict[str, Any] = {"version": 2, **_BODY}
_REFUSED = ("invalid_parameter", "unauthenticated", "forbidden", "unavailable")

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="The version that this one replaces: `3`."),
]
ConfigInBody = Annotated[ConfigBody, Body(examples=[Example(summary="Own weights", value=_BODY)])]


@get(
    "/recs/config",
    guards=[may("config.read")],
    summary="The ranking configuration in force",
    operation_id="get_config",
    tags=["configuration"],
    security=BEARER,
    responses={
        200: answer(ConfigVersion, "With its version, also as ETag.", _FIRST),
        **problems(*_REFUSED),
    },
)
async def current(services: Given) -> ASGIResponse:
    """The newest version."""
    return _with_tag(await services.configs.current())


@put(
    "/recs/config",
    guards=[may("config.write")],
    summary="Replace the ranking configuration",
    description=(
        "Makes a new version, in force on every replica within a second. What is left out has its "
        "default. `If-Match` names the version that it replaces: 409 when that is not in force any "
        "more, so that of two who change it at once one is told."
    ),
    operation_id="put_config",
    tags=["configuration"],
    security=BEARER,
    responses={
        200: answer(ConfigVersion, "The new version.", _SECOND),
        **problems(*_REFUSED, "conflict", "payload_too_large", "unsupported_media_type"),
    },
)
async def replace(services: Given, data: ConfigInBody, if_match: IfMatch = None) -> ASGIResponse:
    """Make the next version."""
    return _with_tag(await services.configs.replace(data, if_match))


@get(
    "/recs/config/versions",
    guards=[may("config.read")],
    summary="All versions of the ranking configuration",
    operation_id="list_config_versions",
    tags=["configuration"],
    security=BEARER,
    responses={
        200: answer(ConfigVersions, "Newest first.", {"versions": [_SECOND, _FIRST]}),
        **problems(*_REFUSED),
    },
)
async def versions(services: Given) -> ASGIResponse:
    """Every version there was."""
    return json(await services.configs.versions())


def _with_tag(config: ConfigVersion) -> ASGIResponse:
    response = json(config)
    response.headers["ETag"] = f'"{config.version}"'
    return response


HANDLERS = (current, replace, versions)
