"""Anything that the OpenAPI document allows, and much that it forbids, is sent to every operation: what comes back is what the document says, never a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from controller.api.app import build
from tests.api.outside import Cloud
from tests.api.server import controller, furnish, new_database

DOCUMENT: dict[str, Any] = build(None, 1 << 20).openapi()  # type: ignore[arg-type]  # the document needs no services
schema = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


@pytest.fixture(scope="module")
def wild(folder: Path, postgres: str) -> Iterator[Cloud]:
    """A controller of its own, furnished with what the examples in the document name."""
    home = folder / "wild"
    home.mkdir()
    with controller(home, new_database(postgres, "wild")) as cloud:
        furnish(cloud, "general", "debian-12", {"small": (2, 4096, 40), "large": (4, 8192, 80)})
        cloud.admin.ask("POST /v1/projects", {"name": "health", "parent": cloud.root})
        cloud.admin.ask("POST /v1/users", {"name": "zhang"})
        yield cloud


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
def test_whatever_is_sent_the_answer_is_as_the_document_says(case: Any, wild: Cloud) -> None:
    case.call_and_validate(base_url=wild.url, headers={"Authorization": f"Bearer {wild.admin.token}"}, checks=CHECKS, timeout=20)
