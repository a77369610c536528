"""Describe the reports of a pipeline in OpenAPI: https://spec.openapis.org/oas/v3.1.1.html."""

from collections.abc import Mapping
from typing import Any

from etl import columns as types
from etl.columns import Column
from etl.parameters import Parameter, Today
from etl.pipeline import Pipeline
from etl.reports import Report

Document = dict[str, Any]

_FORMATS: Mapping[type[Column], Document] = {
    types.SmallInteger: {"type": "integer", "format": "int16"},
    types.Integer: {"type": "integer", "format": "int32"},
    types.BigInteger: {"type": "integer", "format": "int64"},
    types.Numeric: {
        "type": "string",
        "format": "decimal",
        "description": "A decimal number with all its digits.",
    },
    types.Real: {"type": ["number", "string"], "description": "A text is NaN or an infinity."},
    types.Double: {"type": ["number", "string"], "description": "A text is NaN or an infinity."},
    types.Boolean: {"type": "boolean"},
    types.Date: {"type": "string", "format": "date"},
    types.Time: {"type": "string", "format": "time"},
    types.UnixTime: {"type": "string", "format": "date-time"},
    types.Uuid: {"type": "string", "format": "uuid"},
    types.Json: {"type": "string", "contentMediaType": "application/json"},
}
_PROBLEMS = {
    "400": "A parameter is unknown, missing, or no value of its type.",
    "401": "The caller is not known.",
    "404": "There is no such report.",
    "405": "The method is not GET.",
    "429": "There are too many requests.",
    "500": "The report failed.",
    "503": "The warehouse cannot be read just now; the header Retry-After says when to ask again.",
}
_AS_OF: Document = {
    "type": "object",
    "description": "The newest batch of each source that the rows show.",
    "required": ["batch", "loaded_at", "batches"],
    "properties": {
        "batch": {
            "type": ["integer", "null"],
            "description": "The only source's, if there is one.",
        },
        "loaded_at": {"type": ["string", "null"], "format": "date-time"},
        "batches": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
_PROBLEM: Document = {
    "type": "object",
    "description": "A problem document: https://www.rfc-editor.org/rfc/rfc9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["parameter", "reason"],
                "properties": {"parameter": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}


def description(pipeline: Pipeline, title: str, *, by_iam: bool) -> Document:
    """Return the document of a pipeline's API; callers send a token, or sign their requests."""
    health = {"status": {"type": "string", "const": "ok"}, "as_of": _ref("as_of")}
    scheme: Document = {"type": "http", "scheme": "bearer"}
    if by_iam:
        scheme = {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Reports of {title}", "version": "1"},
        "security": [{"caller": []}],
        "paths": {
            **{report.path: {"get": _operation(report)} for report in pipeline.reports},
            "/health": {
                "get": {
                    "summary": "Whether the warehouse can be read, and its newest batches.",
                    "responses": _responses(_object(health)),
                }
            },
            "/openapi.json": {
                "get": {
                    "summary": "This document.",
                    "responses": _responses({"type": "object"}),
                }
            },
        },
        "components": {
            "securitySchemes": {"caller": scheme},
            "schemas": {"as_of": _AS_OF, "problem": _PROBLEM},
        },
    }


def _operation(report: Report) -> Document:
    given = {name: schema_of(each.type) for name, each in report.parameters.items()}
    row = _object({name: schema_of(column) for name, column in report.columns.items()})
    answer = {
        "as_of": _ref("as_of"),
        "parameters": _object({name: {"type": "string"} for name in given}),
        "rows": {"type": "array", "maxItems": report.at_most, "items": row},
        "complete": {"type": "boolean", "description": "Whether these are all rows."},
    }
    return {
        **({"summary": report.title} if report.title else {}),
        "parameters": [_parameter(name, each) for name, each in report.parameters.items()],
        "responses": _responses(_object(answer)),
    }


def _parameter(name: str, parameter: Parameter) -> Document:
    default = parameter.default
    says = [parameter.says] if parameter.says else []
    if isinstance(default, Today):
        says.append(f"By default today in {default.zone}.")
    elif default is not None:
        says.append(f"By default {default}.")
    return {
        "name": name,
        "in": "query",
        "required": default is None,
        "schema": schema_of(parameter.type),
        **({"description": " ".join(says)} if says else {}),
    }


def schema_of(column: Column) -> Document:
    """Return the schema of a column's values, which may be null if it is nullable."""
    schema = {"type": "string", **_FORMATS.get(type(column), {})}
    if isinstance(column, types.Timestamp) and column.timezone:
        schema["format"] = "date-time"
    if column.nullable:
        kinds = schema["type"]
        schema["type"] = [*(kinds if isinstance(kinds, list) else [kinds]), "null"]
    return schema


def _responses(schema: Document) -> Document:
    return {
        "200": {
            "description": "The answer; its header ETag is what If-None-Match may say next time.",
            "content": {"application/json": {"schema": schema}},
        },
        "304": {"description": "Nothing has changed since the answer that If-None-Match names."},
        **{
            status: {
                "description": text,
                "content": {"application/problem+json": {"schema": _ref("problem")}},
            }
            for status, text in _PROBLEMS.items()
        },
    }


def _object(properties: Document) -> Document:
    return {"type": "object", "required": list(properties), "properties": properties}


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}
