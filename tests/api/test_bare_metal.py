"""A machine behind a BMC, from the outside: enrolled, looked at, and drawing nobody until machines can be provisioned."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from drivers.bare_metal.bmc import certificate
from tests.api.outside import Caller, Cloud, Department, fresh
from tests.drivers.bare_metal.served import Service, serving

WORD = "correct-horse-16180"
LOOKS_S = 1.5  # several looks at an endpoint that is troubled
SYSTEM = "/redfish/v1/Systems/System.Board.1"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as made:
        identity = uuid.uuid4()  # a machine that no other test enrols
        made.resources[SYSTEM] |= {"UUID": str(identity), "SerialNumber": f"SN-{identity.hex[:8]}"}
        yield made


@pytest.fixture
def body(operator: Caller, service: Service) -> dict[str, Any]:
    """What enrols it, but for whom to trust; in a pool of its own."""
    name = fresh("metal")
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone")})
    return {"name": name, "driver": "bare_metal", "uri": service.url, "pool": name, "credentials": f"ops:{WORD}\n"}


def test_a_bmc_is_trusted_by_the_fingerprint_that_its_refusal_names(
    cloud: Cloud, operator: Caller, service: Service, body: dict[str, Any]
) -> None:
    seen = certificate(service.url)
    refusal = operator.refused(400, "endpoint_refused", "POST /v1/endpoints", body)
    assert refusal["details"]["reason"] == "bmc_certificate_untrusted"
    assert seen in refusal["message"]
    assert service.sent == [], "no password went to a stranger"
    enrolled = operator.ask("POST /v1/endpoints", body | {"options": {"fingerprint": seen}})
    (host,) = operator.walk("GET /v1/hosts", pool=body["pool"])
    assert enrolled["hosts"] == [host["name"]] == [service.resources[SYSTEM]["SerialNumber"]]
    assert (host["kinds"], host["power"], host["state"], host["cordoned"]) == (["bare_metal"], "on", "up", False)
    assert host["inventory"] == {"vcpus": 64, "memory_mib": 381470, "disk_gib": 8346, "gpus": 0}
    assert host["reason"]["code"] == "machine_only_seen"
    assert WORD not in json.dumps([refusal, enrolled, host, operator.ask("GET /v1/events", limit=100)])
    assert WORD not in cloud.log.read_text()
    with psycopg.connect(cloud.database_url) as conn:
        assert conn.execute("SELECT 1 FROM endpoints t WHERE t::text LIKE %s", (f"%{WORD}%",)).fetchone() is None


@pytest.mark.parametrize("kind", ["vm", "container", "bare_metal"])
def test_nothing_is_placed_on_it(operator: Caller, service: Service, body: dict[str, Any], free_department: Department, kind: str) -> None:
    operator.ask("POST /v1/endpoints", body | {"options": {"ca_file": service.authority}})
    flavor = fresh("size")
    operator.ask("POST /v1/flavors", {"name": flavor, "kind": kind, "vcpus": 1, "memory_mib": 512, "disk_gib": 1})
    runs = {"container": {"image": "registry.example/web:1"}} if kind == "container" else {"image": "debian"}
    item = {"kind": kind, "name": fresh("one"), "flavor": flavor, "pool": body["pool"], **runs}
    asked = {"project": free_department.path, "items": [item]}
    free_department.member.refused(409, "no_capacity", "POST /v1/requests", asked)


def test_what_is_wrong_with_its_bmc_is_said_and_mended_by_new_credentials(operator: Caller, service: Service, body: dict[str, Any]) -> None:
    operator.ask("POST /v1/endpoints", body | {"options": {"ca_file": service.authority}})
    address = f"GET /v1/endpoints/{body['name']}"
    service.amiss["/redfish/v1/Systems"] = service.amiss[SYSTEM] = "deny"
    found = operator.until(address, lambda one: one["reason"] is not None)
    assert found["reason"]["code"] == "bmc_password_refused"
    asked = len(service.sent)
    time.sleep(LOOKS_S)
    assert len(service.sent) == asked, "a password that was refused is left alone"
    service.amiss.clear()
    operator.ask(f"PATCH /v1/endpoints/{body['name']}", {"credentials": f"ops:{WORD}-2"})
    operator.until(address, lambda one: one["reason"] is None)


def test_a_bmc_that_refuses_its_password_can_not_be_enrolled(operator: Caller, service: Service, body: dict[str, Any]) -> None:
    service.amiss["/redfish/v1/Systems"] = "deny"
    wanted = body | {"options": {"ca_file": service.authority}}
    refusal = operator.refused(400, "endpoint_refused", "POST /v1/endpoints", wanted, headers={"Accept-Language": "zh"})
    assert refusal["details"]["reason"] == "bmc_password_refused"
    assert "BMC 拒绝了用户名或密码" in refusal["message"]
