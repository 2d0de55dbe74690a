"""By what hypervisors and the controller know each other: a small CA of our own, which signs a certificate for each hypervisor's libvirt
and one for the controller, as which all controllers on one database appear.

In: a connection, the seal. Out: PEM texts, and the folder of files that libvirt's client reads. All is made when it is first asked for, and
renewed whenever it is asked for and is due. The keys are in the database, sealed; a hypervisor's own key never leaves it.

An authority is replaced by itself. Its successor is made, and trusted, one lifetime of a certificate before it signs anything: whoever has
a certificate that holds has therefore been told of the successor, since that comes with each. For a key that was stolen: `replace`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from cryptography import x509
from sqlalchemy import Connection

from controller import authority as x
from controller import errors
from controller.actions import guard
from controller.actions.env import fresh_id
from controller.authority import Authority
from controller.certificates import write
from controller.model.identity import Identity, Right
from controller.sealing import Seal
from controller.store import events, sql
from controller.store import trust as store
from controller.store.sql import Row

CONTROLLER: Final = "CN=chutian-controller"
"""The controller's name, as libvirtd lists who may connect. No hypervisor can have it: those bear a unit before their name."""
UNIT: Final = "hypervisor"

LIBVIRTS: Final = ("digital_signature", "key_encipherment")  # it insists on both, of keys that can't encipher, too

SIGNS_DAYS: Final = x.CERT_DAYS + x.RENEW_DAYS  # an authority with less left signs nothing more
SUCCEEDED_DAYS: Final = SIGNS_DAYS + x.CERT_DAYS  # one with less left gets a successor


@dataclass(frozen=True, slots=True)
class Trust:
    """What holds now."""

    authorities: tuple[Authority, ...]  # oldest first
    client: Authority  # a certificate and its key: it signs nothing

    @property
    def bundle(self) -> str:
        """Whom both sides trust, PEM."""
        return "".join(x.pem_of(one.certificate).decode() for one in self.authorities)


def signer(authorities: Sequence[Authority], now: dt.datetime) -> Authority | None:
    """The oldest that outlives what it would sign."""
    return next((one for one in authorities if _left(one.certificate, now) > dt.timedelta(days=SIGNS_DAYS)), None)


def wants_successor(authorities: Sequence[Authority], now: dt.datetime) -> bool:
    """Whether none will be there to sign, in time for everybody to hear of the next."""
    return all(_left(one.certificate, now) <= dt.timedelta(days=SUCCEEDED_DAYS) for one in authorities)


def current(conn: Connection, seal: Seal, at: dt.datetime | None = None) -> Trust:
    """What holds (`at`: some other time than now); where something is due, one of the controllers makes it.

    Raises Broken where the keys don't open with ours.
    """
    now = at or _now(conn)
    return _read(store.kept(conn), seal, now) or _renewed(conn, seal, now)


def certify(
    conn: Connection, identity: Identity, seal: Seal, name: str, hosts: Sequence[str], csr: str, at: dt.datetime | None = None
) -> x509.Certificate:
    """A hypervisor's certificate, for the key that signed the request and the names and addresses that operators say.

    Raises InvalidRequest for a request that is none.
    """
    guard.overall(identity, Right.OPERATE)
    now = at or _now(conn)
    try:
        public_key = x.requested(csr)
        signing = signer(current(conn, seal, now).authorities, now)
        assert signing is not None  # noqa: S101 - `current` made one
        made = signing.issue(public_key, name, x.SERVER, hosts, now, unit=UNIT, usages=LIBVIRTS)
    except ValueError as error:
        raise errors.InvalidRequest("certificate_request_invalid", detail=str(error)) from error
    serial = f"{made.serial_number:x}"
    events.add(conn, [events.event("hypervisor.certified", "endpoint", fresh_id(), name, None, identity.name, serial=serial)])
    return made


def hand_out(conn: Connection, seal: Seal, folder: Path, at: dt.datetime | None = None) -> Path:
    """The folder, as libvirt's `pkipath`: whom to trust, and the controller's certificate and key. Files are written where they differ."""
    trust = current(conn, seal, at)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    contents = {
        "cacert.pem": trust.bundle.encode(),
        "clientkey.pem": x.pem_of_key(trust.client.key),
        "clientcert.pem": x.pem_of(trust.client.certificate),
    }
    for file, content in contents.items():
        path = folder / file
        if not path.exists() or path.read_bytes() != content:
            write(path, content, 0o600)
    return folder


def in_use(conn: Connection) -> bool:
    """Whether anything was ever asked for."""
    return bool(store.kept(conn))


def replace(conn: Connection) -> None:
    """Forget all, because a key may be in strange hands: what is asked for next is made anew, and nobody trusts the old any more whom the
    playbook has been run for since.
    """
    store.forget(conn, [row["id"] for row in store.kept(conn, alone=True)])


def _read(rows: Sequence[Row], seal: Seal, now: dt.datetime) -> Trust | None:
    """What the rows hold; None where something is due."""
    authorities = tuple(_open(row, seal) for row in rows if row["kind"] == "authority" and not _ended(row, now))
    clients = [row for row in rows if row["kind"] == "client"]
    if wants_successor(authorities, now) or not clients:
        return None
    client = _open(clients[-1], seal)
    issuers = {one.certificate.subject.rfc4514_string(): one for one in authorities}
    signed = client.certificate.issuer.rfc4514_string() in issuers
    return Trust(authorities, client) if signed and not x.due(client.certificate, (), now) else None


def _renewed(conn: Connection, seal: Seal, now: dt.datetime) -> Trust:
    rows = store.kept(conn, alone=True)
    found = _read(rows, seal, now)
    if found is not None:  # another controller was quicker
        return found
    store.forget(conn, [row["id"] for row in rows if row["kind"] == "client" or _ended(row, now)])
    authorities = [_open(row, seal) for row in rows if row["kind"] == "authority" and not _ended(row, now)]
    if wants_successor(authorities, now):
        made = x.authority(f"Chutian hypervisors {now:%Y-%m-%d} {fresh_id()[-4:]}", now)
        authorities.append(made)
        _keep(conn, seal, "authority", made)
    signing = signer(authorities, now)
    assert signing is not None  # noqa: S101 - the last one is fresh
    key = x.new_key()
    client = Authority(signing.issue(key.public_key(), CONTROLLER.removeprefix("CN="), x.CLIENT, (), now, usages=LIBVIRTS), key)
    _keep(conn, seal, "client", client)
    return Trust(tuple(authorities), client)


def _keep(conn: Connection, seal: Seal, kind: str, made: Authority) -> None:
    id_, certificate = fresh_id(), made.certificate
    record = {
        "id": id_,
        "kind": kind,
        "certificate": x.pem_of(certificate).decode(),
        "sealed_key": seal.close(x.pem_of_key(made.key).decode(), id_),
        "begins": certificate.not_valid_before_utc.isoformat(),
        "ends": certificate.not_valid_after_utc.isoformat(),
    }
    store.keep(conn, record)


def _open(row: Row, seal: Seal) -> Authority:
    return x.load(row["certificate"], seal.open(row["sealed_key"], row["id"]))


def _ended(row: Row, now: dt.datetime) -> bool:
    return _left(x.read(row["certificate"]), now) <= dt.timedelta(0)


def _now(conn: Connection) -> dt.datetime:
    return cast(dt.datetime, sql.scalar(conn, "SELECT now()"))


def _left(certificate: x509.Certificate, now: dt.datetime) -> dt.timedelta:
    return certificate.not_valid_after_utc - now
