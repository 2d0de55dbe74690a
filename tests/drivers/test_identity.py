"""Whether two speak of one machine: whatever way its UUID is written, and never because it has none of its own."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.identity import PLACEHOLDERS, machine_uuid

OWN = "4c4c4544-0033-4710-8032-c7c04f475931"
WAYS = (str, str.upper, lambda text: text.replace("-", ""), lambda text: f" {text}\n", lambda text: f"{{{text}}}")


@given(st.uuids())
def test_however_it_is_written_it_is_one_and_canonical(one: uuid.UUID) -> None:
    found = {machine_uuid(way(str(one))) for way in WAYS}
    assert found in ({str(one)}, {""})
    assert found == {""} or str(one) not in PLACEHOLDERS


@given(st.uuids(), st.uuids())
def test_two_machines_are_never_one(one: uuid.UUID, other: uuid.UUID) -> None:
    assert one == other or not machine_uuid(str(one)) or machine_uuid(str(one)) != machine_uuid(str(other))


@pytest.mark.parametrize("text", [OWN, "00000000-0000-0000-0000-ac1f6b010203", "038d0240-045c-05b6-8a06-e30700080009"])
def test_what_vendors_make_of_a_serial_number_or_a_mac_counts(text: str) -> None:
    assert machine_uuid(text) == text


@pytest.mark.parametrize("text", ["", "-", "To Be Filled By O.E.M.", "Default string", OWN[:-1], f"{OWN}0"])
def test_what_is_no_uuid_is_none(text: str) -> None:
    assert machine_uuid(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "fefefefe-fefe-fefe-fefe-fefefefefefe",
        "DEADBEEF-DEAD-BEEF-DEAD-BEEFDEADBEEF",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90AB-CDDEEFAABBCC",
        "78563412-3412-7856-90AB-CDDEEFAABBCC",
    ],
)
def test_what_every_board_of_a_vendor_has_is_nobodys(text: str) -> None:
    assert machine_uuid(text) == ""
