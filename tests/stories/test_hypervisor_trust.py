"""The controller and a hypervisor know each other by the controller's own CA: who else tries either side is turned away.

A lab host's libvirtd, with a certificate that was asked for as the playbook does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.api.outside import fresh
from tests.lab import pki, rig
from tests.lab.rig import Host
from tests.stories.conftest import Province

pytestmark = [pytest.mark.real, pytest.mark.slow]
TURNED_AWAY = "Unable to read TLS confirmation"  # libvirtd has closed the connection after the handshake


def certify(province: Province, folder: Path, end: str, *addresses: str) -> None:
    """What a hypervisor gets, as files of one end of libvirt's TLS."""
    folder.mkdir(exist_ok=True)
    trusted = province.cloud.admin.ask("GET /v1/hypervisors/trust")
    key = pki.new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    asked = {"name": "kvm-01", "addresses": list(addresses), "request": request.public_bytes(serialization.Encoding.PEM).decode()}
    given = province.cloud.admin.ask("POST /v1/hypervisors/certificates", asked)
    (folder / "cacert.pem").write_text(trusted["authorities"])
    (folder / f"{end}cert.pem").write_text(given["certificate"])
    pki.write_key(folder / f"{end}key.pem", key)


@pytest.fixture(scope="module")
def host(province: Province) -> Iterator[Host]:
    """Its libvirtd has a certificate of the controller's CA, and lets the controller in alone. `pki` is still the lab's own."""
    lab = rig.up(province.cloud.data_dir / fresh("lab"), 1)
    try:
        (host,) = lab.hosts
        folder = host.folder / "trust"
        certify(province, folder, "server", host.address)
        name = province.cloud.admin.ask("GET /v1/hypervisors/trust")["controller"]
        conf = host.folder / "etc/libvirtd.conf"
        conf.write_text(conf.read_text().replace(str(host.pki), str(folder)) + f'tls_allowed_dn_list = ["{name}"]\n')
        host.kill_libvirtd()
        host.start_libvirtd()
        yield host
    finally:
        rig.down(lab)


@pytest.fixture
def body(province: Province, host: Host) -> dict[str, object]:
    """What enrols it, in a pool of its own."""
    name = fresh("trusted")
    province.cloud.admin.ask("POST /v1/pools", {"name": name, "zone": name})
    return {"name": name, "driver": "libvirt", "uri": f"qemu+tls://{host.address}/system", "pool": name}


def refused(province: Province, body: dict[str, object]) -> str:
    return str(province.cloud.admin.refused(400, "endpoint_refused", "POST /v1/endpoints", body)["message"])


def test_a_stranger_is_not_let_in(province: Province, host: Host, body: dict[str, object]) -> None:
    folder = host.folder / "stranger"
    folder.mkdir()
    authorities = [(of / "cacert.pem").read_text() for of in (host.folder / "trust", host.pki)]
    (folder / "cacert.pem").write_text("".join(authorities))  # or the client itself would think its certificate no good
    for file in ("clientcert.pem", "clientkey.pem"):
        shutil.copy(host.pki / file, folder)
    assert TURNED_AWAY in refused(province, body | {"options": {"certificates": str(folder)}})


def test_a_hypervisor_is_not_let_in_by_another(province: Province, host: Host, body: dict[str, object]) -> None:
    certify(province, host.folder / "thief", "client", host.address)
    assert TURNED_AWAY in refused(province, body | {"options": {"certificates": str(host.folder / "thief")}})


def test_the_controller_talks_to_no_stranger(province: Province, body: dict[str, object]) -> None:
    strange = next(iter(province.hosts.values()))
    said = refused(province, body | {"uri": f"qemu+tls://{strange.address}/system", "options": {"certificates": "own"}})
    assert "Failed to verify peer's certificate" in said


@pytest.mark.parametrize("options", [{"certificates": "ours"}, {"certificates": "own", "pool_path": "x"}], ids=repr)
def test_an_option_that_can_not_be_is_refused(province: Province, body: dict[str, object], options: dict[str, str]) -> None:
    assert refused(province, body | {"options": options})


def test_the_controller_is_let_in_and_comes_again_after_a_restart(province: Province, host: Host, body: dict[str, object]) -> None:
    admin = province.cloud.admin
    enrolled = admin.ask("POST /v1/endpoints", body | {"options": {"certificates": "own"}})
    assert (enrolled["hosts"], enrolled["options"]) == ([host.name], {"certificates": "own"})
    host.kill_libvirtd()
    admin.until(f"GET /v1/endpoints/{body['name']}", lambda one: one["state"] == "unreachable", 60)
    host.start_libvirtd()
    admin.until(f"GET /v1/endpoints/{body['name']}", lambda one: one["state"] == "connected", 60)
    again = admin.ask(f"PATCH /v1/endpoints/{body['name']}", {})
    assert again["generation"] == admin.ask(f"GET /v1/endpoints/{body['name']}")["generation"]
    admin.ask(f"POST /v1/hosts/{host.name}/retire")
