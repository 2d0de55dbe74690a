"""The OpenAPI document is what people and programs learn the API from: everything in it is explained and has an example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from controller.api.app import build
from tests.api.outside import Cloud

DOCUMENT: dict[str, Any] = build(None, 1 << 20).openapi()  # type: ignore[arg-type]  # the document needs no services


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield f"{name}.{field}", described


def _shows(schema: dict[str, Any]) -> bool:
    """Whether a reader can tell from the schema itself what a value looks like."""
    if any(word in schema for word in ("example", "examples", "default", "enum", "const", "$ref")):
        return True
    if schema.get("type") == "boolean":
        return True
    if schema.get("type") == "array":
        return _shows(schema["items"])
    return any(_shows(one) for one in schema.get("anyOf", []) if one.get("type") != "null")


def test_it_is_openapi_3_1_and_served_as_it_is_built(cloud: Cloud) -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert cloud.nobody.ask("GET /openapi.json") == DOCUMENT
    assert "swagger-ui" in cloud.nobody.call("GET /docs").text


def test_every_operation_is_explained_and_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names))
    mute = [
        line
        for line, operation in operations()
        if not (operation.get("summary") and operation.get("description") and operation.get("tags"))
    ]
    assert not mute, f"no summary, description or tag: {mute}"


def test_every_parameter_is_explained_and_has_an_example() -> None:
    parameters = [(f"{line} {one['name']}", one) for line, operation in operations() for one in operation.get("parameters", [])]
    mute = [name for name, one in parameters if not one.get("description")]
    bare = [name for name, one in parameters if not ("example" in one or "examples" in one or _shows(one["schema"]))]
    assert not mute, f"no description: {mute}"
    assert not bare, f"no example: {bare}"


def test_every_schema_and_every_field_is_explained_and_has_an_example() -> None:
    missing = [name for name, schema in DOCUMENT["components"]["schemas"].items() if not schema.get("examples")]
    mute = [name for name, schema in DOCUMENT["components"]["schemas"].items() if not schema.get("description")]
    bare = [name for name, schema in properties() if not _shows(schema)]
    assert not missing, f"no example: {missing}"
    assert not mute, f"no description: {mute}"
    assert not bare, f"no example: {bare}"


def _valid(schema: dict[str, Any], example: Any) -> bool:
    whole = {"components": DOCUMENT["components"]} if "$ref" in str(schema) else {}
    return jsonschema_rs.is_valid(schema | whole, example)


def test_every_example_is_valid() -> None:
    described = [*properties(), *DOCUMENT["components"]["schemas"].items()]
    wrong = [f"{name}: {one!r}" for name, schema in described for one in schema.get("examples", []) if not _valid(schema, one)]
    for line, operation in operations():
        for one in operation.get("parameters", []):
            examples = [*one["schema"].get("examples", []), *([one["example"]] if "example" in one else [])]
            wrong += [f"{line} {one['name']}: {example!r}" for example in examples if not _valid(one["schema"], example)]
    assert not wrong, "\n".join(wrong)


def test_every_answer_is_explained_and_every_refusal_has_the_one_shape() -> None:
    for line, operation in operations():
        for status, answer in operation["responses"].items():
            assert answer.get("description"), f"{line} {status}"
            if int(status) >= 400:
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorOut"}, f"{line} {status}"


def test_every_list_of_the_document_has_pages_and_filters() -> None:
    bare = {}
    for line, operation in operations():
        answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if not (line.startswith("GET ") and answer.get("$ref", "").endswith("Page")):
            continue
        names = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        paged = {"limit", "after" if line == "GET /v1/events" else "cursor"}
        if not paged < names:
            bare[line] = names
    assert bare == {}
