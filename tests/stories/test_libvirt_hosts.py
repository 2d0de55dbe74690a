"""Tales on four real libvirt hosts with real guests, told over HTTP."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.api.outside import fresh
from tests.stories.conftest import Province

pytestmark = [pytest.mark.real, pytest.mark.slow]
NOTICED_S = 60  # what somebody does behind the controller's back is noticed within this time


def apply(province: Province, count: int, **item: Any) -> list[dict[str, Any]]:
    """Instances of the tiny guest, active and booted."""
    member = province.department.member
    wish = {"flavor": "tiny", "image": "tiny", "count": count, "name": fresh("web"), **item}
    request = member.ask("POST /v1/requests", {"project": province.department.path, "reason": "test", "items": [wish]})
    assert request["state"] == "approved"
    found = [member.settled_within(id_, "active", 120) for id_ in request["instances"]]
    for one in found:
        until(lambda one=one: "chutian-guest: ready" in province.console(one), 120, f"{one['name']} did not boot")
    return found


def until(done: Any, within_s: float, otherwise: str) -> None:
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end, f"{otherwise} within {within_s} s"
        time.sleep(0.3)


def delete(province: Province, instances: list[dict[str, Any]]) -> None:
    for one in instances:
        province.department.member.ask(f"DELETE /v1/instances/{one['id']}")
    for one in instances:
        province.department.member.settled_within(one["id"], "deleted", 60)


def boots(province: Province, instance: dict[str, Any]) -> int:
    return province.console(instance).count("chutian-guest: hostname=")


def test_four_machines_that_must_be_apart_boot_on_four_hosts_and_leave_nothing_behind(province: Province) -> None:
    member = province.department.member
    user_data = "#cloud-config\nruncmd:\n  - echo seed-of-$(hostname)\n"
    instances = apply(province, 4, spread={"mode": "anti_affinity", "domain": "host"}, user_data=user_data)
    assert len({province.host_of(one).name for one in instances}) == 4
    for one in instances:
        assert f"hostname={one['name']} instance-id={one['id']}" in province.console(one)
        until(lambda one=one: f"seed-of-{one['name']}" in province.console(one), 30, "user data was not run")
        until(lambda one=one: member.ask(f"GET /v1/instances/{one['id']}")["addresses"], 60, "no address was seen")
        assert one["host"] is None, "a department does not see hosts"
    fifth = {"flavor": "tiny", "image": "tiny", "count": 5, "spread": {"mode": "anti_affinity", "domain": "host"}}
    refusal = member.refused(409, "no_capacity", "POST /v1/requests", {"project": province.department.path, "items": [fifth]})
    assert {"rule": "anti_affinity", "excluded": 4} in [
        {key: one[key] for key in ("rule", "excluded")} for one in refusal["details"]["rules"]
    ]
    hosts = {one["id"]: province.host_of(one) for one in instances}
    delete(province, instances)
    for id_, host in hosts.items():
        assert id_ not in host.run("virsh", "list", "--all", "--uuid")
        assert id_ not in host.run("find", "/var/lib/libvirt", "-name", f"*{id_}*")


def test_every_verb_does_what_it_says(province: Province) -> None:
    member = province.department.member
    (one,) = apply(province, 1)
    address = f"/v1/instances/{one['id']}"
    member.ask(f"POST {address}/stop")
    member.settled_within(one["id"], "stopped", 60)
    assert "shut off" in province.host_of(one).run("virsh", "domstate", one["id"])
    member.ask(f"POST {address}/start")
    member.settled_within(one["id"], "active", 60)
    until(lambda: boots(province, one) == 2, 60, "it did not boot again")
    member.ask(f"POST {address}/reboot")
    member.settled_within(one["id"], "active", 60)
    until(lambda: boots(province, one) == 3, 90, "it did not reboot")
    member.ask(f"POST {address}/resize", {"flavor": "less-tiny"})
    resized = member.settled_within(one["id"], "active", 90)
    assert (resized["vcpus"], resized["memory_mib"], resized["disk_gib"]) == (2, 128, 2)
    info = province.host_of(one).run("virsh", "dominfo", one["id"])
    assert "CPU(s):         2" in info
    assert f"{128 * 1024} KiB" in info
    member.ask(f"POST {address}/rebuild")
    member.settled_within(one["id"], "active", 90)
    until(lambda: "chutian-guest: disk=/dev/vda2 boots=1" in province.console(one)[-2000:], 90, "a rebuilt disk has not been booted before")
    member.ask(f"POST {address}/protect")
    member.refused(409, "invalid_state", f"DELETE {address}")
    member.ask(f"POST {address}/unprotect")
    delete(province, [one])


def test_what_somebody_does_by_hand_is_noticed_told_and_mended(province: Province) -> None:
    destroyed, undefined, stopped, vanished = every = apply(province, 4, spread={"mode": "spread"})
    member = province.department.member
    for one in (stopped, vanished):
        member.ask(f"POST /v1/instances/{one['id']}/stop")
        member.settled_within(one["id"], "stopped", 60)
    for one, verb in zip(every, ("destroy", "undefine", "start", "undefine"), strict=True):  # the controller mends between any two deeds
        province.host_of(one).run("virsh", verb, one["id"])
    for one, told in zip(every, ("stopped_by_other", "altered_by_other", "started_by_other", "vanished"), strict=True):
        until(lambda one=one, told=told: f"instance.{told}" in province.events(one), NOTICED_S, f"{told} was not told")
        until(lambda one=one: "instance.mended" in province.events(one), NOTICED_S, f"{told} was not mended")
    until(lambda: boots(province, destroyed) == 2, 60, "it was not started again")
    assert boots(province, undefined) == 1, "it ran on all the time"
    assert re.search(r"Persistent: +yes", province.host_of(undefined).run("virsh", "dominfo", undefined["id"]))
    for one in (stopped, vanished):
        assert "shut off" in province.host_of(one).run("virsh", "domstate", one["id"])
    member.ask(f"POST /v1/instances/{vanished['id']}/start")
    until(lambda: "boots=2" in province.console(vanished), 60, "it was not started again from its own disk")
    delete(province, every)


def test_a_killed_libvirtd_makes_its_guests_unknown_and_then_known_again_without_a_reboot(province: Province) -> None:
    (one,) = apply(province, 1)
    member, host = province.department.member, province.host_of(one)
    host.kill_libvirtd()
    try:
        unknown = member.until(f"GET /v1/instances/{one['id']}", lambda seen: seen["condition"] == "unknown", NOTICED_S)
        assert unknown["state"] == "active", "a host that does not answer stops nothing"
        assert unknown["reason"]["text"]
    finally:
        host.start_libvirtd()
    member.until(f"GET /v1/instances/{one['id']}", lambda seen: seen["condition"] == "running", NOTICED_S)
    assert boots(province, one) == 1, "the guest went on all the time"
    delete(province, [one])


def test_a_host_that_is_cut_off_frees_nothing_and_takes_nothing_new(province: Province) -> None:
    (one,) = apply(province, 1, zone="wuhan-a")
    admin, member, host = province.cloud.admin, province.department.member, province.host_of(one)
    used = admin.ask(f"GET /v1/hosts/{host.name}")["used"]
    quota = member.ask(f"GET /v1/projects/{province.department.path}/quota")["rows"]
    with host.being_cut():
        seen = admin.until(f"GET /v1/hosts/{host.name}", lambda row: row["state"] == "unreachable", NOTICED_S)
        assert seen["used"] == used
        assert member.ask(f"GET /v1/instances/{one['id']}")["condition"] == "unknown"
        assert member.ask(f"GET /v1/projects/{province.department.path}/quota")["rows"] == quota
        admin.refused(409, "invalid_state", f"POST /v1/hosts/{host.name}/retire")
        (other,) = apply(province, 1, zone="wuhan-a")
        assert province.host_of(other).name != host.name
        member.ask(f"DELETE /v1/instances/{one['id']}")
        time.sleep(3)
        assert member.ask(f"GET /v1/instances/{one['id']}")["state"] != "deleted", "what can't be seen can't be called gone"
    member.settled_within(one["id"], "deleted", NOTICED_S)
    assert one["id"] not in host.run("virsh", "list", "--all", "--uuid")
    delete(province, [other])


def test_a_flipped_byte_in_a_host_s_copy_of_an_image_refuses_the_boot_and_says_so(province: Province) -> None:
    (one,) = apply(province, 1)
    member, host = province.department.member, province.host_of(one)
    member.ask(f"POST /v1/instances/{one['id']}/stop")
    member.settled_within(one["id"], "stopped", 60)
    digest = province.cloud.admin.ask("GET /v1/images/tiny")["sha256"]
    (base,) = host.run("sh", "-c", f"find /var/lib/libvirt/images -size +1M -name '*{digest}*'").split()
    offset = 1_000_000
    before = host.run("sh", "-c", f"dd if={base} bs=1 skip={offset} count=1 status=none | od -An -tu1").strip()
    flip = f"printf '\\{(int(before) ^ 1):o}' | dd of={base} bs=1 seek={offset} conv=notrunc status=none"
    host.run("sh", "-c", flip)
    try:
        member.ask(f"POST /v1/instances/{one['id']}/start")
        broken = member.settled_within(one["id"], "error", 60)
        assert broken["reason"]["code"] == "image_corrupt"
        assert "sha256" in broken["reason"]["text"]
        assert "shut off" in host.run("virsh", "domstate", one["id"])
    finally:
        host.run("sh", "-c", f"printf '\\{int(before):o}' | dd of={base} bs=1 seek={offset} conv=notrunc status=none")
    member.ask(f"POST /v1/instances/{one['id']}/start")
    member.settled_within(one["id"], "active", 60)
    delete(province, [one])


def test_hostile_names_and_user_data_are_refused_or_harmless(province: Province) -> None:
    member, path = province.department.member, province.department.path
    for name in ("../../etc/passwd", "a'/><x", "$(reboot)", "a;b", "-a", "a" * 64, "ü", "a b"):
        body = {"project": path, "name": name, "flavor": "tiny", "image": "tiny"}
        member.refused(400, "invalid_request", "POST /v1/instances", body)
    data = "#cloud-config\nruncmd:\n  - echo ']]></x>&amp;\"' \\`id\\`\n# ]]> <domain type='kvm'/> %s $(reboot) \u4f60\u597d\n"
    (one,) = apply(province, 1, user_data=data, ssh_keys=['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8u it\'s "quoted" <b>&\\n$(id)'])
    assert "kvm" not in province.host_of(one).run("virsh", "dumpxml", one["id"]).split("<os>")[0]
    delete(province, [one])
