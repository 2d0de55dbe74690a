"""A whole example for every schema of the OpenAPI document, put together from those of its fields, so that neither can say otherwise.

In: the document's schemas. Out: the same, each with `examples`. A field without an example of its own shows its default, the first value
of its enumeration, or the example of what it refers to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]


def add(schemas: Mapping[str, Schema]) -> None:
    """Give every schema its example."""
    for schema in schemas.values():
        schema["examples"] = [of(schema, schemas)]


def of(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """What a value of this schema may look like."""
    if "$ref" in schema:
        return of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return of(next(one for one in schema["anyOf"] if one.get("type") != "null"), schemas)
    return _of_type(schema, schemas)


def _of_type(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    match schema.get("type"):
        case "object":
            return {name: of(one, schemas) for name, one in schema.get("properties", {}).items()}
        case "array":
            return [of(schema["items"], schemas)]
        case "boolean":
            return True
    raise ValueError(f"nothing in the schema tells what a value looks like: {schema}")
