"""A small certificate authority: a key, its certificate, and what it signs. No files, no database: those who keep one bring their own.

In: names, public keys, times. Out: X.509 certificates (RFC 5280) with ECDSA on P-256. A certificate is for one end of a connection alone,
the server's or the client's, so that a stolen one can't be turned round.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS: Final = 3650
CERT_DAYS: Final = 397
RENEW_DAYS: Final = 30  # what has less left is due

SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
Key = ec.EllipticCurvePrivateKey
PublicKey = CertificateIssuerPublicKeyTypes

_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class BadRequest(ValueError):
    """A certificate signing request that is none, or not signed by the key in it."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs."""

    certificate: x509.Certificate
    key: Key

    def issue(
        self,
        public_key: PublicKey,
        name: str,
        end: x509.ObjectIdentifier,
        hosts: Sequence[str],
        now: dt.datetime,
        *,
        unit: str = "",
        usages: Sequence[str] = ("digital_signature",),
    ) -> x509.Certificate:
        """A certificate for that key: `end` is SERVER or CLIENT, `hosts` are the names and addresses it is for, `unit` stands before the
        name in its subject, `usages` are what its key does.

        It ends no later than the authority does.
        """
        ends = min(now + dt.timedelta(days=CERT_DAYS), self.certificate.not_valid_after_utc)
        builder = _builder(_named(name, unit), self.certificate.subject, public_key, self.key.public_key(), now, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(*usages), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([end]), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([general_name(host) for host in hosts]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def authority(name: str, now: dt.datetime) -> Authority:
    """A new one, with a key of its own."""
    key = new_key()
    ends = now + dt.timedelta(days=CA_DAYS)
    builder = _builder(_named(name), _named(name), key.public_key(), key.public_key(), now, ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def load(certificate: str | bytes, key: str | bytes) -> Authority:
    """The one whose PEM texts these are."""
    loaded = serialization.load_pem_private_key(key.encode() if isinstance(key, str) else key, None)
    assert isinstance(loaded, Key)  # noqa: S101 - we wrote it
    return Authority(read(certificate), loaded)


def read(certificate: str | bytes) -> x509.Certificate:
    """The (first) certificate in a PEM text."""
    return x509.load_pem_x509_certificate(certificate.encode() if isinstance(certificate, str) else certificate)


def requested(csr: str) -> PublicKey:
    """The key in a certificate signing request (PEM). What else stands there is of no account: who signs says for whom.

    Raises BadRequest.
    """
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        if not request.is_signature_valid:
            raise BadRequest("it is not signed by its own key")
        key = request.public_key()
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise error if isinstance(error, BadRequest) else BadRequest("it is no PKCS #10 request in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.key_size < 256:
        raise BadRequest("its key is not on an elliptic curve of 256 bits or more")
    return key


def due(certificate: x509.Certificate, hosts: Iterable[str], now: dt.datetime) -> bool:
    """Whether it ends soon, or isn't for all of those names and addresses."""
    if certificate.not_valid_after_utc - now <= dt.timedelta(days=RENEW_DAYS):
        return True
    wanted = {general_name(host) for host in hosts}
    return bool(wanted) and not wanted <= set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def general_name(host: str) -> x509.GeneralName:
    """An address, or a host name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def pem_of_key(key: Key) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _named(name: str, unit: str = "") -> x509.Name:
    before = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([*before, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in allowed for name in _USAGES})


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, signer: PublicKey, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    assert isinstance(signer, ec.EllipticCurvePublicKey)  # noqa: S101 - we made it
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )
