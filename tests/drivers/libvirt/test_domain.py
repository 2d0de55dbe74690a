"""Domain XML against golden files, and what is read back from it. `REGENERATE=1 pytest …` writes the files anew."""

# ruff: noqa: S314  # XML from our own code

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import InstanceSpec
from drivers.libvirt.domain import (
    Mark,
    Paths,
    Size,
    domain_name,
    domain_xml,
    mac_address,
    machine_for,
    mark_xml,
    read_mark,
    read_size,
)

MakeSpec = Callable[..., InstanceSpec]
PATHS = Paths("/pool/disk.qcow2", "/pool/seed.iso", "/pool/console.log")
MARK = Mark("cloud-1", "bureau", 2, 3)
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("virt", "arch"), [("kvm", "x86_64"), ("qemu", "x86_64"), ("kvm", "aarch64"), ("test", "i686")])
def test_the_domain_is_exactly_what_the_golden_file_says(make_spec: MakeSpec, virt: str, arch: str) -> None:
    made = domain_xml(make_spec(), MARK, machine_for(virt, arch), PATHS, "chutian")
    golden = GOLDEN / f"domain-{virt}-{arch}.xml"
    if os.environ.get("REGENERATE"):
        golden.write_text(made)
    assert made == golden.read_text()


@pytest.mark.parametrize("hostile", ["a'b", 'x"/><devices/>', "]]></domain><!--", "&amp;<", "楚天"])
def test_no_text_of_anyones_escapes_its_place(make_spec: MakeSpec, hostile: str) -> None:
    plain = ET.fromstring(domain_xml(make_spec(), MARK, machine_for("qemu", "x86_64"), PATHS, "net"))
    mark = replace(MARK, owner=hostile, project=hostile)
    paths = Paths(hostile, hostile, hostile)
    xml = domain_xml(make_spec(name=hostile), mark, machine_for("qemu", "x86_64"), paths, hostile)
    root = ET.fromstring(xml)
    assert [element.tag for element in root.iter()] == [element.tag for element in plain.iter()]
    assert read_mark(mark_xml(mark)) == mark


@pytest.mark.parametrize("name", ["a'b", 'x"/>', "$(reboot)", "../../escape", "two\nlines", "", "a" * 300, "nul\0byte", "-rf"])
def test_a_domain_name_is_a_safe_file_name(make_spec: MakeSpec, name: str) -> None:
    made = domain_name(make_spec(name=name))
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert make_spec().instance_id in made
    assert len(made) < 100


@given(st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 1 << 40), st.text(st.characters(exclude_categories=("C",))))
def test_a_mark_is_read_back_as_it_was_written(build: int, reboots: int, generation: int | None, text: str) -> None:
    mark = Mark(text, text, build, reboots, generation)
    assert read_mark(mark_xml(mark)) == mark


@pytest.mark.parametrize("xml", ["", "<instance/>", "<instance owner='x' build='one' reboots='0'/>", "<other", "<instance owner='a'/>"])
def test_a_strangers_metadata_is_no_mark(xml: str) -> None:
    assert read_mark(xml) is None


def test_the_size_is_read_in_our_units() -> None:
    assert read_size("<domain><memory unit='KiB'>524288</memory><vcpu placement='static' current='2'>4</vcpu></domain>") == Size(2, 512)


def test_mac_addresses_are_unicast_locally_administered_and_differ() -> None:
    made = {mac_address(f"0190a000-0000-7000-8000-{number:012x}") for number in range(5000)}
    assert len(made) == 5000
    assert all(int(mac[:2], 16) & 3 == 2 for mac in made)
