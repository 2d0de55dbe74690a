"""The driver against real libvirt hosts and real guests: what the contract can't ask of every backend.

One lab host, the tiny guest, software emulation. Faults are real: a flipped byte, a killed daemon, a cut cable, a hung or crashed host.
"""

# ruff: noqa: S314  # XML from libvirtd

from __future__ import annotations

import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from drivers.base import Condition, InstanceSpec, Observation, Power, Proves
from drivers.errors import DiskMissing, HostUnreachable, ImageCorrupt, ImageNotFound, InvalidSpec, NoGuestRuns
from drivers.libvirt.base_image import base_name, marker_name
from drivers.libvirt.driver import LibvirtDriver, open_libvirt
from drivers.libvirt.volumes import disk_name
from tests.drivers.libvirt import backend
from tests.lab.rig import Host

pytestmark = [pytest.mark.real, pytest.mark.slow]

Guest = Callable[..., InstanceSpec]
BOUND_S = 12.0


def until(true: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.2)


def is_up(driver: LibvirtDriver, spec: InstanceSpec) -> Observation:
    until(lambda: b"chutian-guest: ready" in driver.console_log(spec.instance_id, 1 << 20), "the guest is up")
    return driver.observe(spec.instance_id)


def pool_folder(host: Host) -> Path:
    return host.folder / "lib" / "images" / "chutian"


def forget_base(host: Host) -> None:
    """Delete the host's copies of images, so that the next guest needs one."""
    connection = libvirt.open(host.unix)
    pool = connection.storagePoolLookupByName("chutian")
    pool.refresh(0)
    for volume in pool.listAllVolumes():
        if volume.name().startswith("base-"):
            volume.delete(0)
    connection.close()


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


# -- images ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [0.0, 0.37, 1.0], ids=["first byte", "middle", "last byte"])
def test_one_flipped_bit_in_the_hosts_copy_refuses_the_boot(host: Host, driver: LibvirtDriver, guest: Guest, where: float) -> None:
    forget_base(host)
    spec = guest(power=Power.STOPPED)
    driver.ensure(spec)
    copy = pool_folder(host) / base_name(spec.image)
    at = int(where * (copy.stat().st_size - 1))
    flip(copy, at)
    try:
        with pytest.raises(ImageCorrupt) as caught:
            driver.ensure(replace(spec, power=Power.RUNNING, generation=2))
        assert caught.value.reason.params["where"] == "host"
        seen = driver.observe(spec.instance_id)
        assert (seen.condition, seen.generation) == (Condition.STOPPED, 1)
    finally:
        flip(copy, at)
    driver.ensure(replace(spec, power=Power.RUNNING, generation=2))
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING


def test_a_rebuild_over_a_copy_that_went_bad_leaves_the_guest_running(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    forget_base(host)
    spec = guest()
    driver.ensure(spec)
    copy = pool_folder(host) / base_name(spec.image)
    flip(copy, copy.stat().st_size - 1)  # read last, when the new disk has long been made
    rebuild = replace(spec, build=spec.build + 1, generation=2)
    try:
        with pytest.raises(ImageCorrupt):
            driver.ensure(rebuild)
        seen = driver.observe(spec.instance_id)
        assert (seen.condition, seen.generation) == (Condition.RUNNING, 1)
    finally:
        flip(copy, copy.stat().st_size - 1)
    driver.ensure(rebuild)
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, 2)


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_a_file_that_differs_from_the_record_never_reaches_a_guest(host: Host, driver: LibvirtDriver, guest: Guest, algorithm: str) -> None:
    forget_base(host)
    good = guest().image
    spec = guest(image=replace(good, **{algorithm: "0" * 64}))
    with pytest.raises(ImageCorrupt) as caught:
        driver.ensure(spec)
    params = caught.value.reason.params
    assert (params["where"], params["algorithm"]) == ("controller", algorithm)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    assert not (pool_folder(host) / base_name(spec.image)).exists()


@pytest.mark.parametrize("change", ["shorter", "longer"])
def test_a_file_of_another_length_is_corrupt(host: Host, driver: LibvirtDriver, guest: Guest, image_file: Path, change: str) -> None:
    forget_base(host)
    content = image_file.read_bytes()
    image_file.write_bytes(content[:-1] if change == "shorter" else content + b"x")
    with pytest.raises(ImageCorrupt):
        driver.ensure(guest(image=replace(guest().image, path=str(image_file))))


def test_a_file_that_is_not_there_is_not_found(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    forget_base(host)
    with pytest.raises(ImageNotFound):
        driver.ensure(guest(image=replace(guest().image, path="/nowhere/at/all")))


def test_an_image_that_lies_over_a_file_of_the_hosts_is_refused(driver: LibvirtDriver, guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "evil.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", path, "1M"], check=True)
    with pytest.raises(InvalidSpec, match="lies over another file"):
        driver.ensure(guest(image=backend.image_of(path, "qcow2", 1 << 20, "evil")))


def test_a_copy_cut_short_is_recognised_and_made_anew(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest(power=Power.STOPPED)
    driver.ensure(spec)
    driver.remove(spec.instance_id)
    copy = pool_folder(host) / base_name(spec.image)
    (pool_folder(host) / marker_name(spec.image)).unlink()
    copy.write_bytes(copy.read_bytes()[: 1 << 20])
    libvirt_refresh(host)
    driver.ensure(replace(spec, power=Power.RUNNING))
    assert copy.stat().st_size == spec.image.size_bytes
    is_up(driver, spec)


def libvirt_refresh(host: Host) -> None:
    connection = libvirt.open(host.unix)
    connection.storagePoolLookupByName("chutian").refresh(0)
    connection.close()


def test_guests_made_at_once_share_one_copy(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    forget_base(host)
    specs = [guest(power=Power.STOPPED) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(driver.ensure, specs))
    copies = sorted(path.name for path in pool_folder(host).iterdir() if path.name.startswith("base-"))
    assert copies == [base_name(specs[0].image), marker_name(specs[0].image)]
    assert {driver.observe(spec.instance_id).generation for spec in specs} == {1}


# -- guests ------------------------------------------------------------------------------------------------------------------------------


def test_a_guest_reads_its_seed_and_outlives_a_stop_with_its_disk(driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest(name="seed-reader", user_data="#cloud-config\nruncmd:\n  - echo made by cloud-init > /dev/console\n")
    driver.ensure(spec)
    is_up(driver, spec)
    log = driver.console_log(spec.instance_id, 1 << 20)
    assert f"hostname=seed-reader instance-id={spec.instance_id} seed=read".encode() in log
    until(lambda: b"made by cloud-init" in driver.console_log(spec.instance_id, 1 << 20), "the user data has run")
    off = replace(spec, power=Power.STOPPED, generation=2)
    until(lambda: driver.ensure(off) or driver.observe(spec.instance_id).generation == 2, "it is off")
    driver.ensure(replace(spec, generation=3))
    until(lambda: b"boots=2" in driver.console_log(spec.instance_id, 1 << 20), "its disk counts two boots")
    rebuilt = replace(spec, generation=4, build=2)
    driver.ensure(rebuilt)
    line = f"instance-id={spec.instance_id}-2".encode()
    until(lambda: line in driver.console_log(spec.instance_id, 1 << 20), "the rebuilt guest is a new instance")
    after = driver.console_log(spec.instance_id, 1 << 20).split(line)[1]
    until(lambda: b"boots=1" in driver.console_log(spec.instance_id, 1 << 20).split(line)[1], f"its disk is new: {after!r}")


def test_remove_leaves_nothing_of_the_instance_even_without_its_domain(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest()
    driver.ensure(spec)
    connection = libvirt.open(host.unix)
    backend.undefine(connection, spec.instance_id)
    connection.close()
    assert any(spec.instance_id in path.name for path in pool_folder(host).iterdir())
    driver.remove(spec.instance_id)
    assert not [path.name for path in pool_folder(host).iterdir() if spec.instance_id in path.name]


def test_a_lost_disk_is_reported_and_never_replaced(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest(power=Power.STOPPED)
    driver.ensure(spec)
    (pool_folder(host) / disk_name(spec.instance_id, 1)).unlink()
    libvirt_refresh(host)
    with pytest.raises(DiskMissing):
        driver.ensure(replace(spec, power=Power.RUNNING, generation=2, built=True))
    connection = libvirt.open(host.unix)
    backend.undefine(connection, spec.instance_id)
    connection.close()
    with pytest.raises(DiskMissing):
        driver.ensure(replace(spec, built=True))


def test_a_guest_paused_behind_our_back_is_seen_so_and_goes_on(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest()
    driver.ensure(spec)
    connection = libvirt.open(host.unix)
    connection.lookupByUUIDString(spec.instance_id).suspend()
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.reason and seen.reason.code) == (Condition.FAILED, "guest_paused")
    driver.ensure(spec)
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING
    connection.close()


def test_a_guest_undefined_while_it_runs_is_defined_again_without_a_reboot(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest()
    driver.ensure(spec)
    until(lambda: is_up(driver, spec).condition is Condition.RUNNING, "running")
    connection = libvirt.open(host.unix)
    domain = connection.lookupByUUIDString(spec.instance_id)
    process = domain.ID()
    domain.undefine()
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, None)
    driver.ensure(spec)
    (listed,) = [one for one in driver.observe_all() if one.instance_id == spec.instance_id]
    assert (listed.condition, listed.generation) == (Condition.RUNNING, spec.generation)
    assert (domain.isPersistent(), domain.ID()) == (1, process)
    connection.close()


# -- connections -------------------------------------------------------------------------------------------------------------------------


def test_tls_ssh_less_and_local_uris_show_the_same_host(host: Host) -> None:
    names = set()
    for uri in (host.tls, host.tcp, host.unix):
        opened = open_libvirt(uri, "owner", {"virt_type": "qemu"})
        names |= {it.name for it in opened.inventory().hosts}
        opened.close()
    assert names == {host.name}


def test_a_client_without_a_certificate_is_turned_away(host: Host, tmp_path: Path) -> None:
    (tmp_path / "cacert.pem").write_bytes((host.pki / "cacert.pem").read_bytes())
    with pytest.raises(HostUnreachable):
        open_libvirt(f"qemu+tls://{host.address}/system?pkipath={tmp_path}", "owner", {})


def test_where_kvm_does_not_work_the_inventory_says_so_and_guests_are_emulated(host: Host, guest: Guest) -> None:
    opened = open_libvirt(host.tcp, "owner", {})
    (found,) = opened.inventory().hosts
    assert ("kvm" in found.traits) != ("kvm_unavailable" in {note.code for note in found.notes})
    opened.close()


@pytest.mark.parametrize("virt_type", ["auto", "qemu"])
def test_that_guests_run_is_proven_by_one_that_leaves_nothing(host: Host, virt_type: str) -> None:
    opened = open_libvirt(host.tls, "owner", {"virt_type": virt_type})
    assert isinstance(opened, Proves)
    opened.prove()
    opened.close()
    assert "chutian-probe" not in host.run("virsh", "list", "--all", "--name")


def test_a_host_on_which_no_guest_runs_is_told_with_why(host: Host) -> None:
    opened = open_libvirt(host.tcp, "owner", {"virt_type": "qemu"})
    assert isinstance(opened, Proves)
    emulator = "/usr/bin/qemu-system-x86_64"
    host.run("mount", "--bind", "/bin/false", emulator)
    try:
        with pytest.raises(NoGuestRuns, match="qemu: "):
            opened.prove()
    finally:
        host.run("umount", emulator)
    opened.prove()
    opened.close()


def test_what_a_machine_is_does_not_depend_on_the_address(host: Host) -> None:
    found = set()
    for uri in (host.tcp, f"qemu+tls://{host.address}/system?pkipath={host.pki}"):
        opened = open_libvirt(uri, "owner", {})
        found.add(opened.inventory().hosts[0].machine)
        opened.close()
    assert len(found) == 1
    assert "" not in found


def test_a_guest_outlives_its_libvirtd_and_is_seen_again_without_a_restart_of_ours(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest()
    driver.ensure(spec)
    host.kill_libvirtd()
    started = time.monotonic()
    with pytest.raises(HostUnreachable):
        driver.observe(spec.instance_id)
    assert time.monotonic() - started < BOUND_S
    host.start_libvirtd()
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, 1)
    woken = threading.Event()
    driver.watch(lambda _: woken.set())
    for generation, power in enumerate((Power.STOPPED, Power.RUNNING) * 3, 2):
        driver.ensure(replace(spec, power=power, force=True, generation=generation))
        if woken.wait(3):  # a libvirtd (9.0) that was killed now and then says nothing of the first change: events are hints
            break
    assert woken.is_set(), "no event on the new connection"


@pytest.mark.parametrize("fault", ["being_cut", "being_frozen"])
def test_a_host_that_does_not_answer_is_unreachable_in_bounded_time(host: Host, driver: LibvirtDriver, guest: Guest, fault: str) -> None:
    spec = guest(power=Power.STOPPED)
    driver.ensure(spec)
    with getattr(host, fault)():
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(HostUnreachable):
                driver.observe(spec.instance_id)
            assert time.monotonic() - started < BOUND_S
    until(lambda: answers(driver, spec), "the host is back", 20)


def answers(driver: LibvirtDriver, spec: InstanceSpec) -> bool:
    try:
        return driver.observe(spec.instance_id).condition is Condition.STOPPED
    except HostUnreachable:
        return False


def test_a_guest_that_its_host_lost_with_its_power_is_started_again(host: Host, driver: LibvirtDriver, guest: Guest) -> None:
    spec = guest()
    driver.ensure(spec)
    is_up(driver, spec)
    host.crash()
    host.start()
    driver.prepare()
    until(lambda: driver.observe(spec.instance_id).condition is Condition.STOPPED, "it is off")
    driver.ensure(spec)
    until(lambda: b"boots=2" in driver.console_log(spec.instance_id, 1 << 20), "it boots from the same disk")


def test_a_broken_connection_leaves_no_socket_behind(host: Host, driver: LibvirtDriver) -> None:
    def sockets() -> int:
        return sum(1 for path in Path("/proc/self/fd").iterdir() if path.is_symlink() and str(path.readlink()).startswith("socket:"))

    driver.observe_all()
    before = sockets()
    for _ in range(3):
        host.kill_libvirtd()
        with pytest.raises(HostUnreachable):
            driver.observe_all()
        host.start_libvirtd()
        driver.observe_all()
    until(lambda: sockets() <= before, f"no more than {before} sockets", 10)


# -- CPU baselines and NUMA cells --------------------------------------------------------------------------------------------------------


def test_a_host_promises_what_its_hypervisor_can_give_and_knows_its_cells(driver: LibvirtDriver) -> None:
    (host,) = driver.inventory().hosts
    assert host.cpu_baselines >= {"x86-64-v1", "x86-64-v2"}, "QEMU emulates these since long"
    assert sum(len(cell.cpus) for cell in host.cells) == host.vcpus
    assert 0 < sum(cell.memory_mib for cell in host.cells) <= host.memory_mib, "what was plugged in later may be in no cell"


def test_a_guest_with_a_baseline_in_a_cell_boots_and_moves_to_other_ones_when_asked(
    host: Host, driver: LibvirtDriver, guest: Guest
) -> None:
    (there,) = driver.inventory().hosts
    spec = guest(cpu_baseline="x86-64-v2", cells=there.cells[:1])
    driver.ensure(spec)
    is_up(driver, spec)
    xml = ET.fromstring(domain_xml_of(host, spec))
    assert xml.findtext("cpu/model") == "kvm64"
    assert {one.get("name") for one in xml.iterfind("cpu/feature[@policy='require']")} >= {"popcnt", "sse4.1", "sse4.2", "ssse3"}
    assert xml.find("numatune/memory[@mode='strict']") is not None
    driver.ensure(spec)
    assert driver.observe(spec.instance_id).generation == 1, "asked again, nothing is to be done"
    other = replace(spec, cpu_baseline=None, cells=(), generation=2, force=True)
    driver.ensure(other)
    is_up(driver, other)
    plain = ET.fromstring(domain_xml_of(host, spec))
    assert plain.find("numatune") is None
    assert driver.observe(spec.instance_id).generation == 2


def domain_xml_of(host: Host, spec: InstanceSpec) -> str:
    """The live definition."""
    connection = libvirt.open(host.unix)
    try:
        return str(connection.lookupByUUIDString(spec.instance_id).XMLDesc(0))
    finally:
        connection.close()
