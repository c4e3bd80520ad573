"""The OpenAPI document, and the page to read it on, which needs nothing from the internet."""

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, get
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, Example, SecurityScheme, Tag
from litestar.router import Router
from litestar.static_files import create_static_files_router

from api.openapi_rules import complete
from api.problems import MEDIA_TYPE, STATUS, TITLE, Problem
from api.safe_headers import allow_page
from core.errors import SetupError

BEARER: Sequence[dict[str, list[str]]] = [{"bearer": []}]
ASSETS = "/docs/assets"
_PROBLEM_SCHEMA = f"#/components/schemas/{Problem.__name__}"
_FILES = ("swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-ui.css")


def answer(
    body: type[msgspec.Struct], description: str, example: object, **others: object
) -> ResponseSpec:
    """A good answer, with examples that are checked against `body` when the app starts."""
    values = {
        summary: msgspec.to_builtins(msgspec.convert(one, body))
        for summary, one in {description: example, **others}.items()
    }
    return ResponseSpec(
        body,
        generate_examples=False,
        description=description,
        examples=[Example(summary=summary, value=value) for summary, value in values.items()],
    )


def problems(*codes: str) -> dict[int, ResponseSpec]:
    """The problems that a route answers with, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(code)
    return {status: _problem(status, same) for status, same in by_status.items()}


def _problem(status: int, codes: Sequence[str]) -> ResponseSpec:
    examples = [Example(summary=code, value=_example(status, code)) for code in codes]
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description="; ".join(f"`{code}`: {TITLE[code]}" for code in codes),
        media_type=MEDIA_TYPE,
        examples=examples,
    )


def _example(status: int, code: str) -> dict[str, Any]:
    problem = Problem(
        type=f"urn:upnext:problem:{code}",
        title=TITLE[code],
        status=status,
        detail="What is wrong, and what to do about it.",
        instance="/recs/7",
        code=code,
        request_id="5f2b8c0e6b0f4c3f9e9a4c1d2b3a4f5e",
    )
    example: dict[str, Any] = msgspec.to_builtins(problem)
    return example


class _Page(SwaggerRenderPlugin):
    """The page, whose own script may run and no other."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        page = super().render(request, openapi_schema)
        allow_page(request.scope, page)
        return page


def config() -> OpenAPIConfig:
    """The document at /openapi.json and its page at /docs."""
    return OpenAPIConfig(
        title="Upnext",
        version=version("upnext"),
        summary="Video recommendations on your own hardware.",
        description="Lists for a user, similar videos for a video, and the models behind them.",
        path="/docs",
        render_plugins=[
            _Page(
                path="/",
                js_url=f"{ASSETS}/{_FILES[0]}",
                standalone_preset_js_url=f"{ASSETS}/{_FILES[1]}",
                css_url=f"{ASSETS}/{_FILES[2]}",
                favicon="<link rel='icon' href='data:,'>",
            ),
        ],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="`upnext token --sub NAME --role ROLE` prints one.",
                )
            }
        ),
        tags=[
            Tag(name="lists", description="Recommendations."),
            Tag(name="watching", description="What users watch."),
            Tag(name="jobs", description="Work that takes a while."),
            Tag(name="models", description="Versions: which there are, which one is live."),
            Tag(name="catalogue", description="Videos: put, taken down, imported."),
            Tag(name="configuration", description="How lists are ranked, and what came of it."),
            Tag(name="health", description="Open to everyone."),
        ],
    )


@get("/openapi.json", include_in_schema=False, media_type="application/json")
async def document(request: Request[Any, Any, Any]) -> bytes:
    """The document, made when it is first asked for and kept."""
    state = request.app.state
    if "document" not in state:
        state.document = msgspec.json.encode(document_of(request.app))
    made: bytes = state.document
    return made


def document_of(app: Litestar) -> dict[str, Any]:
    """The whole document of an application: what its routes say, and what holds for all."""
    return complete(app.openapi_schema.to_schema(), _common_problem)


def _common_problem(code: str) -> tuple[int, dict[str, Any]]:
    """The status and the response object of a problem that a route does not describe itself."""
    status = STATUS[code]
    example = {"summary": code, "value": _example(status, code)}
    content = {"schema": {"$ref": _PROBLEM_SCHEMA}, "examples": {code: example}}
    return status, {
        "description": f"`{code}`: {TITLE[code]}",
        "content": {MEDIA_TYPE: content},
    }


def page_assets() -> Router:
    """The page's files, from the wheel that carries them."""
    return create_static_files_router(ASSETS, directories=[_folder()], name="docs-assets")


def _folder() -> Path:
    """Where the wheel has them. Found, not imported: it would bring code we do not need."""
    spec = find_spec("swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("swagger-ui-py is missing: install Upnext with its dependencies.")
    return Path(spec.submodule_search_locations[0]) / "static"
