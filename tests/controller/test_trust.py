"""By what hypervisors and the controller know each other: one for all controllers, kept sealed, renewed in time, of no use turned round."""

from __future__ import annotations

import datetime as dt
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given
from hypothesis import strategies as st

from controller import authority as x
from controller.actions import trust
from controller.errors import Forbidden, InvalidRequest
from controller.model.identity import Grant, Identity, Role
from controller.sealing import Broken, Seal
from controller.store import sql
from controller.store import trust as store
from controller.store.database import Database
from tests.controller.fixtures import Cloud

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SEAL = Seal("a", {"a": b"a" * 16})
DAY = dt.timedelta(days=1)


def current(database: Database, now: dt.datetime = NOW) -> trust.Trust:
    return database.run(lambda conn: trust.current(conn, SEAL, now))


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chutian-controller")])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key or x.new_key(), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def certify(cloud: Cloud, csr: str, *hosts: str, now: dt.datetime = NOW, who: Identity | None = None) -> x509.Certificate:
    identity = who or cloud.admin
    return cloud.run(lambda conn: trust.certify(conn, identity, SEAL, "kvm-01", hosts, csr, now))


def signed_by(certificate: x509.Certificate, authorities: tuple[x.Authority, ...]) -> bool:
    for one in authorities:
        try:
            certificate.verify_directly_issued_by(one.certificate)
        except (ValueError, InvalidSignature):
            continue
        return True
    return False


# -- whole ---------------------------------------------------------------------------------------------------------------------------


def test_a_hypervisors_certificate_is_for_its_names_its_key_and_serving_alone(cloud: Cloud) -> None:
    key = x.new_key()
    made = certify(cloud, request(key), "10.0.0.11", "kvm-01.example")
    whole = cloud.run(lambda conn: trust.current(conn, SEAL, NOW))
    known = Store([one.certificate for one in whole.authorities])
    for name in (x509.DNSName("kvm-01.example"), x.general_name("10.0.0.11")):
        PolicyBuilder().store(known).time(NOW).build_server_verifier(name).verify(made, [])
    assert made.public_key() == key.public_key()
    assert made.subject.rfc4514_string() == "CN=kvm-01,OU=hypervisor", "whatever name it asked for"
    with pytest.raises(VerificationError):
        PolicyBuilder().store(known).time(NOW).build_server_verifier(x509.DNSName("kvm-02.example")).verify(made, [])
    with pytest.raises(VerificationError):
        PolicyBuilder().store(known).time(NOW).build_client_verifier().verify(made, [])


def test_the_controllers_certificate_bears_the_name_that_hypervisors_let_in_and_serves_nobody(database: Database) -> None:
    whole = current(database)
    client = whole.client.certificate
    assert client.subject.rfc4514_string() == trust.CONTROLLER
    assert signed_by(client, whole.authorities)
    usage = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x.CLIENT]
    assert client.public_key() == whole.client.key.public_key()


def test_two_controllers_that_ask_at_once_are_one_client(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: current(database), range(8)))
    assert len({one.bundle for one in found}) == 1
    assert len({x.pem_of(one.client.certificate) for one in found}) == 1
    assert len(database.run(store.kept)) == 2


def test_keys_lie_sealed_and_a_row_with_anothers_key_does_not_open(database: Database) -> None:
    current(database)
    rows = database.run(store.kept)
    assert "PRIVATE KEY" not in repr(rows)
    database.run(lambda conn: sql.run(conn, "UPDATE trust SET sealed_key = (SELECT min(sealed_key) FROM trust)"))
    with pytest.raises(Broken):
        current(database)


def test_files_are_for_their_owner_alone_and_written_only_where_they_differ(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "tls" / "hypervisors"

    def hand_out(now: dt.datetime) -> dict[str, tuple[bytes, int]]:
        assert database.run(lambda conn: trust.hand_out(conn, SEAL, folder, now)) == folder
        return {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}

    first = hand_out(NOW)
    assert set(first) == {"cacert.pem", "clientcert.pem", "clientkey.pem"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert hand_out(NOW + DAY) == first
    later = hand_out(NOW + (x.CERT_DAYS - x.RENEW_DAYS + 1) * DAY)
    assert later["cacert.pem"] == first["cacert.pem"]
    assert later["clientcert.pem"] != first["clientcert.pem"]


def test_what_was_replaced_is_trusted_by_nobody(cloud: Cloud) -> None:
    before = certify(cloud, request(), "10.0.0.11")
    assert cloud.run(trust.in_use)
    cloud.run(trust.replace)
    assert not cloud.run(trust.in_use)
    after = cloud.run(lambda conn: trust.current(conn, SEAL, NOW))
    assert not signed_by(before, after.authorities)


# -- in time -------------------------------------------------------------------------------------------------------------------------


def test_whoever_holds_a_certificate_that_holds_was_told_of_all_who_sign(cloud: Cloud) -> None:
    """Thirty years, month by month: a hypervisor renews at its last chance, and gets the bundle then; the controller looks each time."""
    told, mine = cloud.run(lambda conn: trust.current(conn, SEAL, NOW)), certify(cloud, request(), "h")
    for step in range(1, 365):
        now = NOW + 30 * step * DAY
        whole = cloud.run(lambda conn, now=now: trust.current(conn, SEAL, now))  # type: ignore[misc]
        assert signed_by(whole.client.certificate, told.authorities), "the hypervisor lets the controller in"
        assert signed_by(mine, whole.authorities), "the controller believes the hypervisor"
        assert whole.client.certificate.not_valid_after_utc > now + x.RENEW_DAYS * DAY
        assert all(one.certificate.not_valid_after_utc > now for one in whole.authorities)
        assert len(whole.authorities) <= 2
        if mine.not_valid_after_utc - now <= 30 * DAY:
            told, mine = whole, certify(cloud, request(), "h", now=now)
            assert mine.not_valid_after_utc - now == x.CERT_DAYS * DAY
    kept = [x.read(row["certificate"]) for row in cloud.run(store.kept) if row["kind"] == "authority"]
    assert all(one.not_valid_before_utc < other.not_valid_before_utc for one, other in pairwise(kept))


@given(ages=st.lists(st.integers(0, x.CA_DAYS + 400), max_size=4))
def test_signing_and_succeeding_follow_from_ages_alone(ages: list[int]) -> None:
    authorities = [made_days_ago(age) for age in sorted(ages, reverse=True)]
    left = [x.CA_DAYS - age for age in sorted(ages, reverse=True)]
    signing = trust.signer(authorities, NOW)
    assert (signing is None) == all(days <= trust.SIGNS_DAYS for days in left)
    if signing is not None:
        assert left[authorities.index(signing)] == min(days for days in left if days > trust.SIGNS_DAYS)
    if not trust.wants_successor(authorities, NOW):
        assert signing is not None


def made_days_ago(age: int) -> x.Authority:
    if age not in _MADE:
        _MADE[age] = x.authority("test", NOW - age * DAY)
    return _MADE[age]


_MADE: dict[int, x.Authority] = {}


# -- refused -------------------------------------------------------------------------------------------------------------------------


def spoilt() -> str:
    good = x509.load_pem_x509_csr(request().encode())
    der = bytearray(good.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "csr",
    [
        "",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        spoilt(),
        request(rsa.generate_private_key(65537, 2048)),
        request(ec.generate_private_key(ec.SECP192R1())),
    ],
    ids=["nothing", "no request", "signed by another key", "RSA", "a short curve"],
)
def test_a_request_that_is_none_is_refused(cloud: Cloud, csr: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        certify(cloud, csr, "10.0.0.11")
    assert caught.value.text == "certificate_request_invalid"


def test_a_name_that_no_certificate_can_bear_is_refused(cloud: Cloud) -> None:
    with pytest.raises(InvalidRequest):
        certify(cloud, request(), "楚天")


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.OPERATOR, Role.ADMIN)])
def test_only_operators_certify(cloud: Cloud, role: Role) -> None:
    somebody = Identity("u", "u", "t", (Grant("p", "hubei", role, True),))
    with pytest.raises(Forbidden):
        certify(cloud, request(), "10.0.0.11", who=somebody)
