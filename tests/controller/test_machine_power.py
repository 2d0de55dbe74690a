"""The power of a machine behind its BMC, with what is on record of whose it is: who may switch it, and who no longer may afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller.actions.env import fresh_id
from controller.journals import DatabaseJournal
from controller.store import sql
from drivers import errors
from drivers.bare_metal.driver import BareMetalDriver, open_bare_metal
from drivers.bare_metal.record import Record, Stage, Step, Work, claimed
from drivers.base import HostPower, InstanceSpec, Power
from drivers.journal import Workplace
from tests.controller.fixtures import Cloud
from tests.controller.metal_worker import SEAL, spec
from tests.drivers.bare_metal.served import Service, serving

SYSTEM = "/redfish/v1/Systems/System.Board.1"


@dataclass
class Site:
    """A machine that is on, and whoever drives it."""

    service: Service
    open: Callable[[], BareMetalDriver]
    driver: BareMetalDriver
    name: str

    def record(self) -> Record:
        return Record.of(self.driver._journal_of().read().document)

    def enter(self, record: Record) -> None:
        journal = self.driver._journal_of()
        assert journal.write(record.document, journal.read().version, None)

    def resets(self) -> list[str]:
        return [body["ResetType"] for _, path, body in self.service.acts() if path.endswith("ComputerSystem.Reset")]


@pytest.fixture
def site(cloud: Cloud, tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path) as service:
        service.obeys = True
        service.resources[SYSTEM]["PowerState"] = "On"
        endpoint = str(cloud.run(lambda conn: sql.scalar(conn, "SELECT id FROM endpoints LIMIT 1")))

        def opened() -> BareMetalDriver:
            """The driver of one controller."""
            made = open_bare_metal(service.url, "owner", {"ca_file": service.authority, "credentials": "ops:word"})
            assert isinstance(made, BareMetalDriver)
            made.keep(DatabaseJournal(cloud.database, SEAL, endpoint), Workplace(tmp_path, "", "", tmp_path, 1))
            return made

        first = opened()
        yield Site(service, opened, first, first.inventory().hosts[0].name)
        first.close()


def installed(generation: int = 3) -> Record:
    return Record({"cpus": 4}, replace(claimed(replace(spec(""), generation=generation)), stage=Stage.INSTALLED))


def running(generation: int) -> InstanceSpec:
    return replace(spec(""), generation=generation, built=True)


def test_a_machine_that_is_nobodys_is_switched_off_by_force_and_on_and_so_already_nothing_is_sent(site: Site) -> None:
    for _ in range(2):
        assert site.driver.switch_power(site.name, HostPower.OFF) is HostPower.OFF
    for _ in range(2):
        assert site.driver.switch_power(site.name, HostPower.ON) is HostPower.ON
    assert site.resets() == ["ForceOff", "On"]


def test_a_bmc_that_takes_the_command_and_does_nothing_is_not_believed(site: Site) -> None:
    site.service.obeys = False
    assert site.driver.switch_power(site.name, HostPower.OFF) is HostPower.ON


def test_a_bmc_that_is_another_machines_by_now_is_sent_nothing(site: Site) -> None:
    site.service.resources[SYSTEM] |= {"UUID": "4C4C4544-0033-4710-8032-C7C04F470000", "SerialNumber": "SN-OTHER"}
    with pytest.raises(errors.WrongMachine):
        site.driver.switch_power(site.name, HostPower.OFF)
    assert site.resets() == []


def test_a_bmc_that_says_no_is_an_error_with_its_words(site: Site) -> None:
    site.service.amiss[f"{SYSTEM}/Actions/ComputerSystem.Reset"] = "refuse"
    with pytest.raises(errors.PowerRefused, match="not in this state"):
        site.driver.switch_power(site.name, HostPower.OFF)


def test_a_password_that_was_refused_is_not_tried_again_by_switching(site: Site) -> None:
    site.service.amiss[SYSTEM] = "deny"
    for _ in range(3):
        with pytest.raises(errors.PasswordRefused):
            site.driver.switch_power(site.name, HostPower.OFF)
    assert [path for _, path, *_ in site.service.sent].count(SYSTEM) == 3, "two when it was looked at first, and one that was refused"


def test_nothing_is_switched_while_a_playbook_works_on_the_machine(site: Site) -> None:
    site.enter(replace(installed(), work=Work(fresh_id(), Step.WIPE)))
    with pytest.raises(errors.MachineAtWork):
        site.driver.switch_power(site.name, HostPower.OFF)
    assert site.resets() == []


def test_the_power_of_an_instances_machine_is_cut_and_comes_back_by_its_own_spec_alone(site: Site) -> None:
    site.enter(installed(3))
    with pytest.raises(errors.MachineTaken):
        site.driver.switch_power(site.name, HostPower.ON)
    assert site.driver.switch_power(site.name, HostPower.OFF) is HostPower.OFF
    late = site.open()
    for _ in range(2):
        late.ensure(running(3))  # a pass that had begun before
    assert site.resets() == ["ForceOff"]
    late.ensure(replace(running(4), power=Power.STOPPED))
    assert site.resets() == ["ForceOff"]
    late.ensure(running(5))
    assert site.resets() == ["ForceOff", "On"]
    late.ensure(running(5))
    tenant = site.record().tenant
    assert tenant is not None
    assert (tenant.generation, tenant.stage) == (5, Stage.INSTALLED)


def test_switching_on_is_given_up_where_the_power_was_cut_since_the_record_was_read(site: Site) -> None:
    """By a pass that is older than the cut, and reads the power after it."""
    site.enter(installed(3))
    late = site.open()
    entry, record = late._read()
    assert record.tenant is not None
    site.driver.switch_power(site.name, HostPower.OFF)
    late._power(entry, record, record.tenant, running(4))
    assert site.resets() == ["ForceOff"]
