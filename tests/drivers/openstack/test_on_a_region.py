"""The driver on a real region: who may do what, what there is, and what others do there."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from drivers.base import Condition, Health, Observation, Power, Reason
from drivers.errors import DriverError, HostUnreachable, InvalidSpec, Unauthorized
from drivers.openstack.driver import OpenStackDriver, open_openstack
from drivers.openstack.failures import FlavorMissing, QuotaUsedUp, RegionLacks, ResizeRefused
from drivers.openstack.names import image_name
from tests.drivers.contract import Backend, converge, eventually, fresh_image, settle
from tests.drivers.openstack import backend as backends
from tests.drivers.openstack.backend import Behind, connect
from tests.drivers.openstack.conftest import MakeSpec
from tests.lab.openstack.gate import Fault
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN, DEMO

pytestmark = [pytest.mark.real, pytest.mark.slow]
SECRET = "not-the-password"  # noqa: S105


# -- who we are --------------------------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_never_shown(region: Region) -> None:
    trust = {"ca_file": str(region.settings.ca)}
    with pytest.raises(Unauthorized) as caught:
        open_openstack(backends.uri(region), "nobody", {"credentials": f"admin:{SECRET}@admin", **trust})
    assert SECRET not in f"{caught.value} {caught.value.__cause__} {caught.value.reason}"


def test_every_form_of_credentials_opens_the_region(region: Region, owner: str) -> None:
    key = {name: value for name, value in region.cloud_by_application_credential(DEMO).items() if name != "cacert"}
    line = f"{DEMO.name}:{DEMO.password}@{DEMO.project}"
    for credentials in (json.dumps({"clouds": {"one": key}}), line):
        driver = open_openstack(
            backends.uri(region), owner, {"credentials": credentials, "ca_file": str(region.settings.ca), "sees": "opaque"}
        )
        assert [host.name for host in driver.inventory().hosts] == [region.cloud(DEMO)["region_name"]]
        assert list(driver.observe_all()) == []
        driver.close()


def test_a_certificate_that_nobody_signed_whom_we_trust_is_refused(region: Region) -> None:
    with pytest.raises(HostUnreachable):
        open_openstack(backends.uri(region), "nobody", {"credentials": f"{DEMO.name}:{DEMO.password}@{DEMO.project}"})


def test_a_region_that_there_is_not_is_named_with_those_that_there_are(owner: str, region: Region) -> None:
    with pytest.raises(InvalidSpec) as caught:
        connect(owner, region="elsewhere")
    assert region.cloud()["region_name"] in str(caught.value)


def test_enrolling_says_what_is_missing(owner: str, driver: OpenStackDriver) -> None:
    driver.prepare()
    ordinary = connect(owner, DEMO)
    with pytest.raises(RegionLacks) as caught:
        ordinary.prepare()
    missing = str(caught.value.reason.params["missing"])
    for what in ("os-hypervisors", "os-services", "os-aggregates", "placement:resource_providers", "sees=opaque"):
        assert what in missing
    connect(owner, DEMO, sees="opaque").prepare()
    with pytest.raises(RegionLacks) as caught:
        connect(owner, DEMO, sees="opaque", zone="moon", network="no-such-net").prepare()
    assert "'no-such-net'" in str(caught.value)
    assert "'moon'" in str(caught.value)


def test_tokens_that_are_void_are_renewed_in_the_middle(
    region: Region, driver: OpenStackDriver, make_spec: MakeSpec, patient: Backend
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    region.expire_tokens()
    converge(patient, driver, replace(spec, generation=2, power=Power.STOPPED))


# -- what there is -----------------------------------------------------------------------------------------------------------------------


def sizes(driver: OpenStackDriver) -> dict[str, tuple[int, int, int]]:
    return {host.name: (host.vcpus, host.memory_mib, host.disk_gib) for host in driver.inventory().hosts}


def test_what_is_ours_is_not_taken_off_a_hypervisor_and_what_is_others_is(
    driver: OpenStackDriver, owner: str, make_spec: MakeSpec, patient: Backend
) -> None:
    spec = make_spec()
    whole = sizes(driver)
    converge(patient, driver, spec)
    assert sizes(driver) == whole
    other = connect(f"{owner}-other")
    vcpus, memory, disk = whole[spec.host]
    assert sizes(other)[spec.host] == (vcpus - 1, memory - spec.memory_mib, disk - spec.disk_gib)
    other.close()


def test_a_nova_compute_that_is_disabled_closes_its_host(region: Region, driver: OpenStackDriver) -> None:
    name = region.computes[1].name
    services = region.admin.ask("nova-api", "GET /os-services?binary=nova-compute")["services"]
    id_ = next(one["id"] for one in services if one["host"] == name)
    region.admin.ask("nova-api", f"PUT /os-services/{id_}", {"status": "disabled", "disabled_reason": "new disks"})
    try:
        found = next(one for one in driver.inventory().hosts if one.name == name)
        assert (found.closed, found.health) == (Reason("service_disabled", {"detail": "new disks"}), Health.READY)
    finally:
        region.admin.ask("nova-api", f"PUT /os-services/{id_}", {"status": "enabled"})


def test_an_aggregate_and_its_zone_are_told(region: Region, driver: OpenStackDriver) -> None:
    ask, name = region.admin.ask, region.computes[1].name
    id_ = ask("nova-api", "POST /os-aggregates", {"aggregate": {"name": "SSD nodes", "availability_zone": "az-east"}})["aggregate"]["id"]
    ask("nova-api", f"POST /os-aggregates/{id_}/action", {"add_host": {"host": name}})
    try:
        found = next(one for one in driver.inventory().hosts if one.name == name)
        assert (found.zone, found.traits) == ("az-east", {"aggregate-ssd-nodes"})
    finally:
        ask("nova-api", f"POST /os-aggregates/{id_}/action", {"remove_host": {"host": name}})
        ask("nova-api", f"DELETE /os-aggregates/{id_}")


def test_a_projects_limits_lowered_behind_our_back_are_seen_and_said(region: Region, owner: str, patient: Backend) -> None:
    driver = connect(owner, DEMO, sees="opaque")
    (host,) = driver.inventory().hosts
    first = backends.spec_on(host.name, {})
    converge(patient, driver, first)
    region.quota(DEMO, cores=1)
    try:
        assert driver.inventory().hosts[0].vcpus == 1, "ours is not taken off"
        with pytest.raises(QuotaUsedUp) as caught:
            driver.ensure(backends.spec_on(host.name, {}))
        assert "Quota exceeded for cores" in str(caught.value)
    finally:
        region.quota(DEMO, cores=-1)
        driver.close()


def test_a_size_that_no_flavor_has_is_refused_where_we_may_make_none(owner: str, region: Region) -> None:
    driver = connect(owner, DEMO, sees="opaque")
    with pytest.raises(FlavorMissing) as caught:
        driver.ensure(backends.spec_on(driver.inventory().hosts[0].name, {"memory_mib": 777}))
    assert caught.value.reason.params == {"vcpus": 1, "memory_mib": 777, "disk_gib": 20}
    driver.close()


def test_a_server_with_a_port_has_its_address(owner: str, make_spec: MakeSpec, patient: Backend) -> None:
    driver = connect(owner, network="net1")
    driver.prepare()
    seen = converge(patient, driver, make_spec())
    assert len(seen.addresses) == 1
    driver.close()


# -- images ------------------------------------------------------------------------------------------------------------------------------


def test_an_image_is_sent_once_however_many_ask_for_it_at_once(
    region: Region, driver: OpenStackDriver, make_spec: MakeSpec, tmp_path: Any, patient: Backend
) -> None:
    image = fresh_image(make_spec().image, tmp_path)
    specs = [make_spec(image=image) for _ in range(4)]
    threads = [threading.Thread(target=driver.ensure, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for spec in specs:
        settle(patient, driver, spec.instance_id, Condition.RUNNING)
    found = region.admin.ask("glance", f"GET /v2/images?name={image_name(image.sha256)}")["images"]
    assert [(one["status"], one["visibility"], one["size"]) for one in found] == [("active", "private", image.size_bytes)]


def test_an_image_that_somebody_deleted_is_sent_again(
    region: Region, driver: OpenStackDriver, make_spec: MakeSpec, tmp_path: Any, patient: Backend
) -> None:
    image = fresh_image(make_spec().image, tmp_path)
    converge(patient, driver, make_spec(image=image))
    (found,) = region.admin.ask("glance", f"GET /v2/images?name={image_name(image.sha256)}")["images"]
    region.admin.ask("glance", f"DELETE /v2/images/{found['id']}")
    converge(patient, driver, make_spec(image=image))


# -- what others do ----------------------------------------------------------------------------------------------------------------------


def test_looking_at_all_costs_two_requests_and_only_what_changed_is_told_again(
    driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend
) -> None:
    specs = [make_spec() for _ in range(3)]
    for spec in specs:
        converge(patient, driver, spec)
    assert len(list(driver.observe_all())) == 3
    before = driver.asked
    assert {seen.condition for seen in driver.observe_all()} == {Condition.RUNNING}
    assert driver.asked - before == 2, "what changed, and the hosts"
    behind.undefine(specs[0].instance_id)
    behind.act(specs[1].instance_id, "pause")
    eventually(patient, "a pause", lambda: behind.server(specs[1].instance_id)["status"] == "PAUSED")
    seen = {one.instance_id: one.condition for one in driver.observe_all()}
    assert seen == {specs[1].instance_id: Condition.FAILED, specs[2].instance_id: Condition.RUNNING}
    assert driver.asked - before == 4
    expected = driver.inventory()
    before = driver.asked
    inventory, observations = driver.look()
    assert driver.asked - before == 5, "no more than of the hosts alone: servers, nova-computes, aggregates, hypervisors, providers"
    assert {one.instance_id: one.condition for one in observations} == seen
    assert inventory == expected


def test_those_who_look_at_the_same_time_are_told_by_one_answer(
    driver: OpenStackDriver, region: Region, make_spec: MakeSpec, patient: Backend
) -> None:
    """Of at most 32 instances: a request line has an end."""
    spec = make_spec()
    converge(patient, driver, spec)
    before = driver.asked
    region.gate.expect(Fault("nova-api", "GET", "/servers/detail", delay_s=3))
    with ThreadPoolExecutor(41) as pool:
        first = pool.submit(driver.observe, str(uuid.uuid4()))
        eventually(patient, "the first to be asking", lambda: driver.asked > before)
        others = {id_: pool.submit(driver.observe, id_) for id_ in (spec.instance_id, *(str(uuid.uuid4()) for _ in range(39)))}
        seen = {id_: one.result().condition for id_, one in others.items()}
    region.gate.expect()
    assert first.result().condition is Condition.ABSENT
    assert {id_ for id_, condition in seen.items() if condition is not Condition.ABSENT} == {spec.instance_id}
    assert driver.asked - before == 3, "the first; and the others, who came while it was on its way, in two parts"


def test_a_lost_answer_is_told_to_all_who_waited_for_it(driver: OpenStackDriver, region: Region, patient: Backend) -> None:
    before = driver.asked
    region.gate.expect(Fault("nova-api", "GET", "/servers/detail", delay_s=3), Fault("nova-api", "GET", "/servers/detail", act="drop"))
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(driver.observe, str(uuid.uuid4()))
        eventually(patient, "the first to be asking", lambda: driver.asked > before)
        others = [pool.submit(driver.observe, str(uuid.uuid4())) for _ in range(8)]
        assert first.result().condition is Condition.ABSENT
        assert all(isinstance(one.exception(), HostUnreachable) for one in others)
    region.gate.expect()
    assert driver.asked - before == 2
    assert driver.observe(str(uuid.uuid4())).condition is Condition.ABSENT


def test_a_rename_is_seen_and_mended(
    driver: OpenStackDriver, region: Region, behind: Behind, make_spec: MakeSpec, patient: Backend
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    region.admin.ask("nova-api", f"PUT /servers/{behind.server(spec.instance_id)['id']}", {"server": {"name": "theirs"}})
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, None)
    assert list(driver.observe_all()) == [seen]
    converge(patient, driver, spec)
    assert behind.server(spec.instance_id)["name"] == spec.name


@pytest.mark.parametrize("action", ["pause", "suspend", "shelve"])
def test_what_somebody_set_aside_is_said_and_brought_back_when_asked_for(
    driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend, action: str
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    behind.act(spec.instance_id, action)
    seen = settle(patient, driver, spec.instance_id, Condition.FAILED)
    assert seen.reason is not None
    assert seen.reason.code == "server_set_aside"
    converge(patient, driver, replace(spec, generation=2))


def test_of_two_servers_the_older_stays(driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    first = behind.server(spec.instance_id)["id"]
    behind.twin(spec.instance_id)
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, None), "no spec holds while there are two"
    converge(patient, driver, spec)
    eventually(patient, "one", lambda: [one["id"] for one in behind.servers(spec.instance_id)] == [first])


def test_an_error_that_somebody_declared_is_said_and_mended_when_asked_for(
    driver: OpenStackDriver, region: Region, behind: Behind, make_spec: MakeSpec, patient: Backend
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    region.reset(behind.server(spec.instance_id)["id"])
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.FAILED, 1)
    assert seen.reason is not None
    assert seen.reason.code == "server_broken"
    driver.ensure(spec)
    assert driver.observe(spec.instance_id).condition is Condition.FAILED, "not for the spec that held"
    converge(patient, driver, replace(spec, generation=2))


def test_a_resize_that_finds_no_room_is_refused_once_and_changes_nothing(
    driver: OpenStackDriver, make_spec: MakeSpec, patient: Backend, behind: Behind
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    larger = replace(spec, generation=2, vcpus=65)  # four for each of the hypervisor's, and one
    refused: list[DriverError] = []

    def is_refused() -> bool:
        try:
            driver.ensure(larger)
        except ResizeRefused as error:
            refused.append(error)
        return bool(refused)

    eventually(patient, "a refusal", is_refused)
    seen = settle(patient, driver, spec.instance_id, Condition.RUNNING)
    assert seen.generation == 1
    assert behind.size(spec.instance_id) == (spec.vcpus, spec.memory_mib, spec.disk_gib)
    assert behind.actions(spec.instance_id).count("resize") == 1
    converge(patient, driver, replace(spec, generation=3, vcpus=2))


def test_another_owner_sees_none_of_it(driver: OpenStackDriver, owner: str, make_spec: MakeSpec, patient: Backend) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    other = connect(f"{owner}-other", ADMIN)
    assert list(other.observe_all()) == []
    assert other.observe(spec.instance_id) == Observation(spec.instance_id, Condition.ABSENT)
    other.close()
