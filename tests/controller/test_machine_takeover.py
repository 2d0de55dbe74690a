"""Two controllers and one machine: whoever dies, freezes or comes back, one run at a time works on it, and it reaches its goal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.actions.env import fresh_id
from controller.errors import Unavailable
from controller.store import machines, sql
from drivers.bare_metal.driver import BareMetalDriver
from drivers.bare_metal.record import Record, Stage, Step, Work, begun, claimed
from drivers.base import Condition
from tests.api.server import free_port
from tests.controller.fixtures import Cloud
from tests.controller.metal_worker import driver, spec
from tests.drivers.bare_metal.served import Service, serving

pytestmark = [pytest.mark.real, pytest.mark.slow]
SYSTEM = "/redfish/v1/Systems/System.Board.1"
OpenDriver = Callable[[dict[str, Any]], BareMetalDriver]
TAKEN_S = 60.0  # a lease, and a run


@dataclass
class Site:
    """A machine, its endpoint, and the notes of who works on it."""

    database_url: str
    endpoint_id: str
    service: Service
    folder: Path

    def settings(self, name: str, hypervisor: str = "") -> dict[str, Any]:
        return {
            "database_url": self.database_url,
            "endpoint_id": self.endpoint_id,
            "uri": self.service.url,
            "options": {"ca_file": self.service.authority, "credentials": "ops:word"},
            "folder": str(self.folder / name),
            "depot_listen": f"127.0.0.1:{free_port()}",
            "playbooks": str(Path(__file__).parent / "playbooks"),
            "image": str(self.folder / "image"),
            "notes": str(self.folder),
            "hypervisor": hypervisor,
        }

    @property
    def log(self) -> list[str]:
        with suppress(FileNotFoundError):
            return (self.folder / "log").read_text().splitlines()
        return []

    def let_go_on(self, step: str = "") -> None:
        (self.folder / (f"go-{step}" if step else "go")).touch()

    def begun(self, step: str) -> list[str]:
        """Runs of that step that began, or (`end`) came to their end."""
        return [line for line in self.log if line.startswith(f"begin {step} ")]

    @contextmanager
    def controller(self, name: str, hypervisor: str = "") -> Iterator[subprocess.Popen[bytes]]:
        line = [sys.executable, "-m", "tests.controller.metal_worker", json.dumps(self.settings(name, hypervisor))]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.kill()


@pytest.fixture
def open_driver() -> Iterator[OpenDriver]:
    """Another controller's, in this process."""
    with ExitStack() as opened:
        yield lambda given: opened.enter_context(driver(given))


@pytest.fixture
def site(cloud: Cloud, database_url: str, tmp_path: Path) -> Iterator[Site]:
    endpoint = str(cloud.run(lambda conn: sql.scalar(conn, "SELECT id FROM endpoints LIMIT 1")))
    with serving(tmp_path) as service:
        service.resources[SYSTEM]["PowerState"] = "On"
        (tmp_path / "image").write_bytes(b"boot")
        yield Site(database_url, endpoint, service, tmp_path)


def until(what: Callable[[], Any], within_s: float = TAKEN_S) -> Any:
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)
    return found


def at_work(folder: Path) -> list[int]:
    """Processes of runs in that controller's folder, or in their private ones."""
    privates = {str(link.readlink()) for link in folder.glob("runs/*/private") if link.is_symlink()}
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            marks = (path / "environ").read_bytes().decode(errors="replace").split("\0")
            if {mark.removeprefix("CHUTIAN_RUN=") for mark in marks} & privates:
                found.append(int(path.name))
    return found


def test_another_controller_takes_over_from_one_that_was_killed_and_only_when_nothing_of_it_works_any_more(
    site: Site, open_driver: OpenDriver
) -> None:
    with site.controller("a") as first:
        until(lambda: len(site.log) == 1)
        until(lambda: at_work(site.folder / "a"))
        other = open_driver(site.settings("b"))
        other.ensure(spec(str(site.folder / "image")))
        assert other.observe(spec("").instance_id).condition is Condition.BUSY, "it is the first one's"
        first.kill()
        first.wait()
        while len(site.log) == 1:
            with suppress(Unavailable):  # frozen in the middle of a transaction, it holds what others wait for
                other.ensure(spec(str(site.folder / "image")))
            time.sleep(0.1)
        assert at_work(site.folder / "a") == []
    _reaches_its_goal(site, other)


def test_one_that_was_frozen_finds_that_the_machine_is_anothers_when_it_thaws(site: Site, open_driver: OpenDriver) -> None:
    with site.controller("a") as first:
        until(lambda: len(site.log) == 1)
        first.send_signal(signal.SIGSTOP)
        other = open_driver(site.settings("b"))
        while len(site.log) == 1:
            other.ensure(spec(str(site.folder / "image")))
            time.sleep(0.1)
        assert at_work(site.folder / "a") == [], "its run ended by itself"
        first.send_signal(signal.SIGCONT)
        time.sleep(3)
        _reaches_its_goal(site, other)
        assert first.poll() is None


def test_the_same_controller_goes_on_at_once_when_it_is_started_again(site: Site) -> None:
    with site.controller("a") as first:
        until(lambda: len(site.log) == 1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    until(lambda: not at_work(site.folder / "a"), within_s=5)
    began = time.monotonic()
    with site.controller("a"):
        until(lambda: len(site.log) == 2)
        assert time.monotonic() - began < 18, "it waited for its own lease"
        site.let_go_on()
        until(lambda: len(site.log) == 3)


def test_a_run_that_was_put_on_record_and_never_begun_is_begun_by_another(site: Site, cloud: Cloud, open_driver: OpenDriver) -> None:
    other = open_driver(site.settings("b"))
    wanted = spec(str(site.folder / "image"))
    lost = begun(Record(), Work(fresh_id(), Step.PROVISION), claimed(wanted))
    assert other._journal_of().write(lost.document, 0, None)
    until(lambda: other.ensure(wanted) or len(site.log) == 1)
    _reaches_its_goal(site, other)
    states = {row["state"] for row in cloud.run(lambda conn: sql.rows(conn, "SELECT state FROM runs"))}
    assert states == {"interrupted", "done"}


def _hypervisor(site: Site, cloud: Cloud, stage: str) -> str:
    """A controller was killed in the middle of that step; the record is of a machine that is, or is to be, one. The endpoint's id."""
    site.let_go_on()
    with site.controller("a", "kvm") as first:
        until(lambda: site.begun("hypervisor"))
        if stage == "patch_host":
            site.let_go_on("hypervisor")
            somebody = cloud.run(lambda conn: sql.scalar(conn, "SELECT id FROM users LIMIT 1"))
            until(lambda: _record(cloud, site).tenant.is_hypervisor)
            cloud.run(lambda conn: machines.ask(conn, site.endpoint_id, "patch_host", somebody))
            until(lambda: site.begun("patch_host"))
        first.kill()
        first.wait()
    return site.endpoint_id


def _record(cloud: Cloud, site: Site) -> Any:
    kept = cloud.run(lambda conn: machines.journal(conn, site.endpoint_id))
    return Record.of(kept["document"] if kept else {})


@pytest.mark.parametrize("step", ["hypervisor", "patch_host"])
def test_what_is_done_within_a_system_is_begun_anew_by_whoever_comes_next(site: Site, cloud: Cloud, step: str) -> None:
    _hypervisor(site, cloud, step)
    with site.controller("b", "kvm"):
        until(lambda: len(site.begun(step)) == 2)
        assert at_work(site.folder / "a") == []
        site.let_go_on(step)
        until(lambda: _record(cloud, site).work is None)
    record = _record(cloud, site)
    assert (record.tenant.endpoint, record.tenant.reason) == ("db-1", None)
    ends = [line for line in site.log if line.startswith(f"end {step} ")]
    assert ends == [site.begun(step)[-1].replace("begin", "end", 1)], "two of them worked on it"
    assert _states(cloud, step) == ["interrupted", "done"]


@pytest.mark.parametrize("step", ["hypervisor", "patch_host"])
def test_what_was_cancelled_in_the_moment_that_its_controller_died_is_not_begun_again(
    site: Site, cloud: Cloud, open_driver: OpenDriver, step: str
) -> None:
    _hypervisor(site, cloud, step)
    run = _record(cloud, site).work.run_id
    assert cloud.run(lambda conn: machines.cancel(conn, site.endpoint_id, run))
    other = open_driver(site.settings("b", "kvm"))
    wanted = spec(str(site.folder / "image"), "kvm")

    def over() -> bool:
        """As a pass does: nobody looks at the machine as a whole."""
        if other.observe(wanted.instance_id).condition is not Condition.FAILED and _record(cloud, site).work is not None:
            other.ensure(wanted)
        return _record(cloud, site).work is None

    until(over)
    tenant = _record(cloud, site).tenant
    assert (tenant.reason and tenant.reason.code, tenant.is_hypervisor) == (
        ("run_cancelled", False) if step == "hypervisor" else (None, True)
    )
    assert (_states(cloud, step), len(site.begun(step))) == (["cancelled"], 1)


def _states(cloud: Cloud, step: str) -> list[str]:
    found = cloud.run(lambda conn: sql.rows(conn, "SELECT state FROM runs WHERE step = :step ORDER BY id", step=step))
    return [row["state"] for row in found]


def _reaches_its_goal(site: Site, by: Any) -> None:
    site.let_go_on()
    seen = until(lambda: (one := by.observe(spec("").instance_id)).condition is Condition.RUNNING and one)
    assert seen.addresses == ("192.0.2.9",)
    record = Record.of(by._journal_of().read().document)
    assert record.tenant is not None
    assert (record.tenant.stage, record.work) == (Stage.INSTALLED, None)
    begins = [line.split()[1] for line in site.log if line.startswith("begin")]
    assert [line for line in site.log if line.startswith("end")] == [f"end {begins[-1]}"], "two of them worked on it"
