"""What is sent, and what is made of the answers: a small HTTPS server with golden/rack-server, and answers that no BMC should give."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import errors
from drivers.bare_metal.attempt_start import boot_from
from drivers.bare_metal.bmc import Bmc, certificate, open_bmc
from drivers.bare_metal.driver import BareMetalDriver
from drivers.bare_metal.machine import Act, Source
from tests.drivers.bare_metal.served import Service, serving

SYSTEM = "/redfish/v1/Systems/System.Board.1"
MEDIA = "/redfish/v1/Managers/BMC.1/VirtualMedia/CD"
PASSWORD = "correct horse"  # noqa: S105


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as made:
        yield made


def options(service: Service, **given: str) -> dict[str, str]:
    return {"credentials": f"ops:{PASSWORD}", "timeout_s": "2", "ca_file": service.authority, **given}


@pytest.fixture
def bmc(service: Service) -> Iterator[Bmc]:
    opened = open_bmc(service.url, options(service))
    yield opened
    opened.close()


def test_every_request_proves_who_asks(service: Service, bmc: Bmc) -> None:
    bmc.power()
    expected = "Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()
    assert [names["authorization"] for *_, names in service.sent] == [expected, expected]


def test_looking_again_costs_one_request(service: Service, bmc: Bmc) -> None:
    bmc.power()
    service.sent.clear()
    bmc.power()
    assert [path for _, path, *_ in service.sent] == [SYSTEM]


def test_a_look_costs_one_request_and_names_the_machine_that_is_there_now(service: Service) -> None:
    driver = BareMetalDriver(open_bmc(service.url, options(service)), service.url, options(service))
    (first,) = driver.inventory().hosts
    service.sent.clear()
    (again,) = driver.inventory().hosts
    assert (again, [path for _, path, *_ in service.sent]) == (first, [SYSTEM])
    service.resources[SYSTEM] |= {"UUID": "4C4C4544-0033-4710-8032-C7C04F470000"}  # another board, as much on as the one before
    (other,) = driver.inventory().hosts
    assert (other.machine, other.power) == ("bmc 4c4c4544-0033-4710-8032-c7c04f470000", first.power)
    assert other.machine != first.machine
    service.resources[SYSTEM] |= {"UUID": "03000200-0400-0500-0006-000700080009"}
    assert driver.inventory().hosts[0].machine == f"bmc {other.name.lower()}", "by its serial number, where the UUID says nothing"
    driver.close()


def test_requests_share_a_connection(service: Service, bmc: Bmc) -> None:
    bmc.switch(Act.ON)
    bmc.machine()
    assert len(service.sent) > 10
    assert service.connections == 1


@pytest.mark.parametrize("amiss", ["flood", "trickle", "deny"])
def test_an_answer_that_was_given_up_spoils_no_other(service: Service, bmc: Bmc, amiss: str) -> None:
    service.amiss[SYSTEM] = amiss
    with pytest.raises(errors.DriverError):
        bmc.power()
    service.amiss.clear()
    assert bmc.power().value == "on"


@pytest.mark.parametrize(
    "given", [{"fingerprint": "ab" * 32, "ca_file": ""}, {"ca_file": ""}], ids=["another is pinned", "nobody vouches for it"]
)
def test_nothing_is_sent_to_who_is_not_trusted(service: Service, given: dict[str, str]) -> None:
    opened = open_bmc(service.url, options(service, **given))
    with pytest.raises((errors.CertificateChanged, errors.CertificateUntrusted)) as told:
        opened.power()
    opened.close()
    assert told.value.reason.params["seen"] == certificate(service.url)
    assert service.sent == []


def test_the_pinned_certificate_is_enough(service: Service) -> None:
    opened = open_bmc(service.url, options(service, ca_file="", fingerprint=certificate(service.url)))
    assert opened.power().value == "on"
    opened.close()


def test_an_act_is_asked_for_once_by_the_name_that_the_machine_offers(service: Service, bmc: Bmc) -> None:
    bmc.switch(Act.RESET)
    assert service.acts() == [("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "PowerCycle"})]


def test_an_act_that_the_machine_does_not_offer_is_not_sent(service: Service, bmc: Bmc) -> None:
    with pytest.raises(errors.PowerRefused, match="GracefulShutdown"):
        bmc.switch(Act.POLITE_RESET)
    assert service.acts() == []


def test_an_act_that_the_bmc_refuses_says_why(service: Service, bmc: Bmc) -> None:
    service.amiss[f"{SYSTEM}/Actions/ComputerSystem.Reset"] = "refuse"
    with pytest.raises(errors.PowerRefused, match="not in this state"):
        bmc.switch(Act.ON)
    assert len(service.acts()) == 1


def test_a_boot_device_is_set_for_the_state_that_was_seen(service: Service, bmc: Bmc) -> None:
    bmc.boot_from(Source.DISK)
    body = {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Hdd"}}
    assert service.acts() == [("PATCH", SYSTEM, body)]
    assert service.sent[-1][3]["if-match"] == 'W/"7"'


def test_a_bmc_that_boots_from_elsewhere_once_alone_boots_from_the_disk_once(service: Service, bmc: Bmc) -> None:
    service.amiss[f"PATCH {SYSTEM}"] = "refuse_lasting"
    boot_from(bmc, Source.DISK)
    assert [body["Boot"]["BootSourceOverrideEnabled"] for _, _, body in service.acts()] == ["Continuous", "Once"]


def test_a_boot_device_that_the_machine_does_not_offer_is_not_sent(service: Service, bmc: Bmc) -> None:
    with pytest.raises(errors.NotSupported):
        bmc.boot_from(Source.CD)
    assert service.acts() == []


def test_media_of_the_manager_are_changed_only_where_they_differ(service: Service, bmc: Bmc) -> None:
    inside = "http://images.example/ramdisk.iso"
    bmc.insert(inside)
    assert service.acts() == []
    bmc.insert("http://images.example/other.iso")
    new = {"Image": "http://images.example/other.iso", "Inserted": True, "WriteProtected": True}
    assert service.acts() == [
        ("POST", f"{MEDIA}/Actions/VirtualMedia.EjectMedia", {}),
        ("POST", f"{MEDIA}/Actions/VirtualMedia.InsertMedia", new),
    ]


def test_ejecting_what_is_not_there_asks_for_nothing(service: Service, bmc: Bmc) -> None:
    service.resources[MEDIA]["Inserted"] = False
    bmc.eject()
    assert service.acts() == []


def test_an_eject_that_is_refused_is_told_of(service: Service, bmc: Bmc) -> None:
    service.amiss[f"{MEDIA}/Actions/VirtualMedia.EjectMedia"] = "refuse"
    with pytest.raises(errors.Permanent, match="not in this state"):
        bmc.eject()


@pytest.mark.parametrize(
    ("amiss", "kind"),
    [
        *(("redirect", errors.Permanent), ("deny", errors.PasswordRefused), ("flood", errors.BmcUnreachable)),
        *(("break_off", errors.BmcUnreachable), ("trickle", errors.BmcUnreachable)),
    ],
)
def test_an_answer_amiss_is_an_error_in_time_and_asked_for_once(service: Service, bmc: Bmc, amiss: str, kind: type[Exception]) -> None:
    service.amiss[SYSTEM] = amiss
    since = time.monotonic()
    with pytest.raises(kind) as told:
        bmc.power()
    assert time.monotonic() - since < 4
    assert type(told.value) is kind
    assert [path for _, path, *_ in service.sent] == ["/redfish/v1/Systems", SYSTEM]
    assert PASSWORD not in str(told.value)


def test_an_answer_in_pieces_is_read_whole(service: Service, bmc: Bmc) -> None:
    service.amiss[SYSTEM] = "chunk"
    assert bmc.power().value == "on"
    assert bmc.power().value == "on"


@pytest.mark.parametrize("amiss", ["talk", "list"])
def test_who_does_not_speak_redfish_has_no_machine(service: Service, bmc: Bmc, amiss: str) -> None:
    service.amiss["/redfish/v1/Systems"] = amiss
    with pytest.raises(errors.SystemUnknown) as told:
        bmc.power()
    assert told.value.reason.params == {"system": "", "systems": "-"}


def test_of_several_machines_one_must_be_named(service: Service, bmc: Bmc) -> None:
    service.resources["/redfish/v1/Systems"]["Members"].append({"@odata.id": "/redfish/v1/Systems/Other"})
    with pytest.raises(errors.SystemUnknown) as told:
        bmc.power()
    assert told.value.reason.params["systems"] == "System.Board.1, Other"
    named = open_bmc(f"{service.url}{SYSTEM}", options(service))
    assert named.power().value == "on"
    named.close()
