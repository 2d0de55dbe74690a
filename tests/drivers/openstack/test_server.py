"""From a spec to what nova is sent, and back from what it says; marks, flavors, and what came of a resize."""

from __future__ import annotations

import base64
import email
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Cell, GpuPart, Power
from drivers.errors import InvalidSpec, NotSupported
from drivers.openstack import flavors, resizing
from drivers.openstack.deciding import is_stamped, stamped
from drivers.openstack.names import TEXTS, Mark, flavor_name, instance_tag, owner_tag, read_mark
from drivers.openstack.records import Size, moment, read
from drivers.openstack.server import MOST_USER_DATA, creation, first_mark, rebuilding, refuse, user_data
from tests.drivers.openstack.servers import ID, IMAGE, OWNER, made, spec_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 '<张三>&\"@host"


def plain(data: str) -> str:
    raw = base64.b64decode(data)
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()


# -- what is sent ------------------------------------------------------------------------------------------------------------------------


def test_a_server_is_asked_for_on_its_hypervisor_with_our_marks() -> None:
    body = creation(spec_of(ssh_keys=(KEY,)), OWNER, "image-id", "flavor-id", "net-id", None)["server"]
    assert body["hypervisor_hostname"] == "c1"
    assert "availability_zone" not in body
    assert (body["name"], body["imageRef"], body["flavorRef"], body["networks"]) == ("web", "image-id", "flavor-id", [{"uuid": "net-id"}])
    assert body["tags"] == ["chutian-cloud-1", f"chutian-instance-{ID}"]
    assert body["config_drive"] is True
    assert (body["min_count"], body["max_count"]) == (1, 1)
    assert read_mark(body["metadata"]) == first_mark(spec_of(), OWNER)


@pytest.mark.parametrize(("zone", "expected"), [("", None), ("az1", "az1")])
def test_where_hypervisors_are_not_seen_nova_chooses(zone: str, expected: str | None) -> None:
    body = creation(spec_of(), OWNER, "i", "f", "", zone)["server"]
    assert "hypervisor_hostname" not in body
    assert body.get("availability_zone") == expected
    assert body["networks"] == "none"


def test_only_what_has_to_run_alone_holds_its_whole_spec_from_the_first() -> None:
    assert first_mark(spec_of(generation=3), OWNER).generation == 3
    assert first_mark(spec_of(generation=3, power=Power.STOPPED), OWNER).generation is None
    assert first_mark(spec_of(generation=3, power=Power.STOPPED), OWNER).asked == 3


def test_a_rebuild_keeps_the_generation_that_held_and_writes_the_new_build() -> None:
    mark = first_mark(spec_of(generation=3), OWNER)
    body = rebuilding(spec_of(generation=4, build=2, reboots=7, user_data="x"), mark, "new-image")["rebuild"]
    new = read_mark(body["metadata"])
    assert new is not None
    assert (new.generation, new.asked, new.build, new.reboots) == (3, 4, 2, 7)
    assert plain(body["user_data"]) == "x"
    assert rebuilding(spec_of(), mark, "i")["rebuild"]["user_data"] is None, "what the last build had must not stay"


@pytest.mark.parametrize("text", ["", "#cloud-config\n{}\n", "#!/bin/sh\n\\\\", "\u202e楚天\r\n\t", "]]></domain><!--"])
def test_user_data_goes_as_it_is(text: str) -> None:
    data = user_data(text, ())
    assert data == "" if not text else plain(data) == text


@given(st.text(max_size=500), st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=3))
def test_with_keys_both_are_found_in_their_parts(text: str, keys: list[str]) -> None:
    if text.startswith(("Content-Type:", "MIME-Version:")) or "\ud800" <= max(text + "".join(keys), default="") <= "\udfff":
        return
    whole = plain(user_data(text, keys))
    if not text:
        assert whole.startswith("#cloud-config\n")
        assert json.loads(whole.partition("\n")[2])["ssh_authorized_keys"] == keys
        return
    ours, theirs = email.message_from_string(whole).get_payload()
    assert ours.get_content_type() == "text/cloud-config"
    assert json.loads(ours.get_payload(decode=True).decode().partition("\n")[2])["ssh_authorized_keys"] == keys
    assert theirs.get_content_type() == "text/plain"
    assert theirs.get_payload(decode=True).decode() == text


def test_a_message_of_several_parts_stays_one() -> None:
    text = 'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/cloud-config\n\n#cloud-config\n{}\n--b--\n'
    _, theirs = email.message_from_string(plain(user_data(text, (KEY,)))).get_payload()
    assert theirs.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in theirs.get_payload()] == ["text/cloud-config"]


def test_what_is_too_long_is_compressed_and_what_is_then_too_long_refused() -> None:
    assert len(user_data("x" * 60_000, ())) < MOST_USER_DATA
    assert plain(user_data("x" * 60_000, ())) == "x" * 60_000
    assert user_data("x" * 60_000, ()) == user_data("x" * 60_000, ()), "the same each time"
    noise = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(60_000))
    with pytest.raises(InvalidSpec):
        user_data(noise, ())


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"instance_id": "../../x"}, InvalidSpec),
        ({"name": "UPPER"}, InvalidSpec),
        ({"name": ""}, InvalidSpec),
        ({"project_id": "a\nb"}, InvalidSpec),
        ({"host": ""}, InvalidSpec),
        ({"host": "h" * 256}, InvalidSpec),
        ({"vcpus": 0}, InvalidSpec),
        ({"image": replace(IMAGE, format="iso")}, InvalidSpec),
        ({"image": replace(IMAGE, sha256="AB" * 32)}, InvalidSpec),
        ({"kind": "bare_metal"}, NotSupported),
        ({"gpus": 1}, NotSupported),
        ({"cpu_baseline": "x86-64-v2"}, NotSupported),
        ({"cells": (Cell(0, (0,), 1),)}, NotSupported),
        ({"devices": (GpuPart("0000:00:00.0"),)}, NotSupported),
    ],
)
def test_what_no_region_can_take_is_refused(fields: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        refuse(spec_of(**fields))
    refuse(spec_of())


# -- marks -------------------------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=0x9FFF, exclude_categories=["Cs"]), max_size=60)
COUNT = st.integers(0, 10**9)


@given(TEXT.filter(bool), TEXT.filter(bool), TEXT, TEXT, st.none() | COUNT, COUNT, COUNT, COUNT)
def test_a_mark_is_read_as_it_was_written(
    owner: str, instance: str, project: str, tried: str, generation: int | None, asked: int, build: int, reboots: int
) -> None:
    mark = Mark(owner, instance, project, "h", "n", "i", tried, generation, asked, build, reboots)
    assert read_mark({**mark.written(), "theirs": "kept"}) == mark


def test_what_bears_no_whole_mark_is_not_ours() -> None:
    whole = first_mark(spec_of(), OWNER).written()
    for name in ("chutian_owner", "chutian_instance", "chutian_build"):
        assert read_mark({key: value for key, value in whole.items() if key != name}) is None
    for wrong in ("x", "-1", "1.0", "１"):
        assert read_mark({**whole, "chutian_reboots": wrong}) is None
    assert read_mark({}) is None


@pytest.mark.parametrize("owner", ["cloud-1", "a,b", "a/b", "楚天", "x" * 100, "a b", "../x"])
def test_a_tag_is_one_that_nova_takes_and_no_two_owners_have_the_same(owner: str) -> None:
    tag = owner_tag(owner)
    assert len(tag) <= 60
    assert not set(",/") & set(tag)
    assert tag != owner_tag(owner + "x")
    assert len(instance_tag(ID)) <= 60


def test_a_stamp_is_complete() -> None:
    spec = spec_of(generation=9, build=3, reboots=4, name="other", project_id="p2", host="c2")
    mark = replace(first_mark(spec_of(), OWNER), tried="8 req-1")
    assert not is_stamped(spec, mark)
    new = stamped(spec, mark)
    assert is_stamped(spec, new)
    assert (new.owner, new.image, new.tried, new.asked) == (mark.owner, mark.image, mark.tried, mark.asked)
    assert set(TEXTS) <= set(Mark.__slots__)


# -- what nova says ----------------------------------------------------------------------------------------------------------------------


def test_a_server_is_read_whatever_is_missing() -> None:
    empty = read({"id": "1"})
    assert (empty.status, empty.mark, empty.size, empty.addresses, empty.fault) == ("UNKNOWN", None, Size(0, 0, 0), (), None)
    nothing = {"status": None, "flavor": None, "metadata": None, "addresses": None, "fault": None, "OS-EXT-STS:task_state": None}
    assert read({"id": "1", **nothing}) == empty


def test_addresses_come_once_each_and_ipv4_first() -> None:
    ports = {"b": [{"addr": "fd00::1"}, {"addr": "10.0.0.2"}], "a": [{"addr": "10.0.0.2"}, {"addr": "10.0.0.1"}, {"addr": "nonsense"}, {}]}
    assert read({"id": "1", "addresses": ports}).addresses == ("10.0.0.2", "10.0.0.1", "fd00::1")


def test_moments() -> None:
    assert moment("2026-01-01T00:00:00Z") == moment("2026-01-01T00:00:00.000000")
    assert moment("") is moment("yesterday") is None


# -- flavors -----------------------------------------------------------------------------------------------------------------------------


def flavor(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "name": id_, "vcpus": 2, "ram": 4096, "disk": 20, "swap": "", "OS-FLV-EXT-DATA:ephemeral": 0, **fields}


SIZE = Size(2, 4096, 20)


@pytest.mark.parametrize(
    "fields",
    [
        {"vcpus": 4},
        {"ram": 4095},
        {"disk": 0},
        {"swap": 512},
        {"OS-FLV-EXT-DATA:ephemeral": 1},
        {"OS-FLV-DISABLED:disabled": True},
        {"extra_specs": {"hw:cpu_policy": "dedicated"}},
        {"extra_specs": {flavors.ON_HOST: "s== c1"}},
    ],
)
def test_a_flavor_that_gives_anything_else_is_not_taken(fields: dict[str, Any]) -> None:
    assert flavors.found([flavor("a", **fields)], SIZE) == ""
    assert flavors.found([flavor("a", **fields), flavor("b")], SIZE) == "b"


def test_the_same_flavor_is_taken_each_time_ours_first() -> None:
    ours = flavor_name(2, 4096, 20)
    listed = [flavor("b"), flavor("a"), flavor("id", name=ours)]
    assert flavors.found(listed, SIZE) == flavors.found(listed[::-1], SIZE) == "id"
    assert flavors.found(listed[:2], SIZE) == flavors.found(listed[1::-1], SIZE) == "a"


def test_a_flavor_for_one_host_is_for_that_host_alone() -> None:
    listed = [flavor("all"), flavor("c2", extra_specs=flavors.specifics("c2")["extra_specs"])]
    assert flavors.found(listed, SIZE, "c2") == "c2"
    assert flavors.found(listed, SIZE, "c1") == ""
    assert flavors.found(listed, SIZE) == "all"
    begun = flavor("begun", name=flavors.making(SIZE, "c1")["flavor"]["name"])
    assert flavors.found([begun], SIZE) == "", "its capability comes in a moment"
    assert flavors.making(SIZE, "c1")["flavor"]["name"] != flavors.making(SIZE, "c2")["flavor"]["name"]


# -- resizes -----------------------------------------------------------------------------------------------------------------------------


def actions(*names: str) -> list[dict[str, Any]]:
    """The newest first, as nova lists them."""
    return [{"action": name, "request_id": f"req-{number}"} for number, name in reversed(list(enumerate(names)))]


def test_a_resize_that_nova_heard_of_and_that_changed_nothing_was_refused() -> None:
    before = actions("create", "resize")  # an older one, which came to nothing
    tried = resizing.trying(5, before)
    assert resizing.ended(tried, 5, before) == "", "nova never heard of it: asked for again"
    assert resizing.ended(tried, 5, actions("create", "resize", "resize")) == "req-2"
    assert resizing.ended(tried, 5, actions("create", "resize", "resize", "revertResize")) == "req-2"
    assert resizing.ended(tried, 5, actions("create", "resize", "stop")) == ""
    assert resizing.ended(tried, 6, actions("create", "resize", "resize")) == "", "asked for anew"
    assert resizing.ended("", 5, before) == ""
    assert resizing.ended(resizing.trying(5, []), 5, actions("resize")) == "req-0"


def test_the_last_words_of_what_went_wrong() -> None:
    trace = "Traceback (most recent call last):\n  File x\nnova.exception.NoValidHost: No valid host was found. \n"
    assert resizing.why([{"traceback": None}, {"traceback": trace}]) == "No valid host was found."
    assert resizing.why([{"event": "x"}]) == resizing.why([]) == ""


def test_what_a_server_was_made_for_is_what_it_is_seen_as() -> None:
    assert made(spec_of()).mark == first_mark(spec_of(), OWNER)
