"""When a hypervisor gets a new certificate: the script that looks at the one that there is, on every way in which one may be no good."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import authority as x
from tests.lab.needs import CHECKOUT

LOOK = CHECKOUT / "playbooks/roles/hypervisor/files/look-at-certificate"
NAMES = ("10.0.0.11", "2001:db8::11", "kvm-01.example")
DAY = dt.timedelta(days=1)


def look(folder: Path, *names: str) -> tuple[int, str]:
    done = subprocess.run([LOOK, folder, *names], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def equip(folder: Path, days_ago: int = 0) -> x.Authority:
    """What a hypervisor has whose playbook ran that long ago; who signed."""
    now = dt.datetime.now(dt.UTC) - days_ago * DAY
    signer, key = x.authority("test", now), x.new_key()
    (folder / "CA").mkdir(parents=True)
    (folder / "libvirt/private").mkdir(parents=True)
    (folder / "CA/cacert.pem").write_bytes(x.pem_of(signer.certificate))
    (folder / "libvirt/private/serverkey.pem").write_bytes(x.pem_of_key(key))
    made = signer.issue(key.public_key(), "kvm-01", x.SERVER, NAMES, now)
    (folder / "libvirt/servercert.pem").write_bytes(x.pem_of(made))
    return signer


def test_one_that_is_good_is_left(tmp_path: Path) -> None:
    equip(tmp_path)
    assert look(tmp_path, *NAMES) == (0, "")


def test_one_signed_by_either_of_two_is_good(tmp_path: Path) -> None:
    equip(tmp_path)
    path = tmp_path / "CA/cacert.pem"
    path.write_bytes(x.pem_of(x.authority("the successor", dt.datetime.now(dt.UTC)).certificate) + path.read_bytes())
    assert look(tmp_path, *NAMES) == (0, "")


@pytest.mark.parametrize(("age", "code"), [(x.CERT_DAYS - x.RENEW_DAYS - 1, 0), (x.CERT_DAYS - x.RENEW_DAYS, 3), (x.CERT_DAYS + 1, 3)])
def test_one_is_renewed_when_a_month_is_left(tmp_path: Path, age: int, code: int) -> None:
    equip(tmp_path, age)
    assert look(tmp_path, *NAMES)[0] == code


@pytest.mark.parametrize("name", ["10.0.0.12", "2001:db8::12", "kvm-02.example"])
def test_one_that_is_not_for_a_name_is_made_anew(tmp_path: Path, name: str) -> None:
    equip(tmp_path)
    assert look(tmp_path, *NAMES, name) == (3, f"it is not for {name}")


def another_key(folder: Path) -> None:
    (folder / "libvirt/private/serverkey.pem").write_bytes(x.pem_of_key(x.new_key()))


def another_signer(folder: Path) -> None:
    (folder / "CA/cacert.pem").write_bytes(x.pem_of(x.authority("test", dt.datetime.now(dt.UTC)).certificate))


def no_certificate(folder: Path) -> None:
    (folder / "libvirt/servercert.pem").unlink()


def half_a_certificate(folder: Path) -> None:
    path = folder / "libvirt/servercert.pem"
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("spoil", [another_key, another_signer, no_certificate, half_a_certificate])
def test_one_that_is_no_good_is_made_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    equip(tmp_path)
    spoil(tmp_path)
    assert look(tmp_path, *NAMES)[0] == 3
