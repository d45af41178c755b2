"""The description of the HTTP service, as OpenAPI 3.1."""

from typing import Any

import msgspec

from runtime_py.service.messages import BatchRequest, ParseDocument, ParseRequest, PartialDocument, ProblemDocument

_PROBLEMS = {
    400: "The body is no JSON.",
    401: "The token is missing or wrong.",
    408: "The request did not arrive in time.",
    413: "The request has too many bytes, or too many texts.",
    415: "The body is not `application/json`, or compressed.",
    422: "The JSON is not of the form expected, or the text is too long.",
    503: "Too many texts wait; `Retry-After` says when to come back.",
}
_JSON = "application/json"


def describe_service(batch: int, token: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        batch: Most texts in one request.
        token: Whether requests have to bring a token.
    """
    shapes = (ParseRequest, BatchRequest, ParseDocument, PartialDocument, ProblemDocument)
    references, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    parse_request, batch_request, parse, partial, problem = references
    answers = {
        "type": "array",
        "items": {"anyOf": [parse, problem]},
        "description": "An answer for each text, in order.",
    }
    parses = {"type": "object", "properties": {"parses": answers}, "required": ["parses"]}
    components["BatchRequest"]["properties"]["texts"]["maxItems"] = batch
    package = {"type": "object", "properties": {"name": {"type": "string"}, "intents": {"type": "array"}}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "pqrnn", "version": "1", "description": "Text in, intent and slots out."},
        "paths": {
            "/v1/parse": {"post": _operation("Parse one text", parse, problem, parse_request)},
            "/v1/parse_batch": {"post": _operation("Parse several texts", parses, problem, batch_request)},
            "/v1/partial": {
                "post": _operation(
                    "Say which intents the beginning of a text leaves open", partial, problem, parse_request
                )
            },
            "/v1/package": {"get": _operation("What is served", package, problem)},
            "/health": {"get": _open("Whether the service answers", _JSON)},
            "/metrics": {"get": _operation("Figures for Prometheus", {"type": "string"}, problem, kind="text/plain")},
            "/openapi.json": {"get": _open("This document", _JSON)},
        },
        "components": {"schemas": components},
    }
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _operation(
    summary: str,
    answer: dict[str, Any],
    problem: dict[str, Any],
    request: dict[str, Any] | None = None,
    kind: str = _JSON,
) -> dict[str, Any]:
    statuses = _PROBLEMS if request is not None else {401: _PROBLEMS[401]}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": {kind: {"schema": answer}}},
            **{
                str(status): {"description": said, "content": {_JSON: {"schema": problem}}}
                for status, said in statuses.items()
            },
        },
    }
    if request is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": request}}}
    return operation


def _open(summary: str, kind: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "The answer.", "content": {kind: {"schema": {"type": "object"}}}}},
    }
