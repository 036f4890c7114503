"""X.509 certificates (RFC 5280) for RADIUS over TLS: authorities, and what they issue. Keys are EC P-256, text is PEM.

The second door to cryptography, beside security.py. Pure: what is kept, and for whom, is tenants/certificates.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from saas.values import utcnow

_SKEW: Final = timedelta(days=1)  # a device's clock may be that much behind ours

_NO_USE: Final = dict.fromkeys(
    (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    ),
    False,
)


class Pair(NamedTuple):
    """A certificate and its private key."""

    certificate: str
    key: str


class Facts(NamedTuple):
    """What tells certificates apart: serial in hexadecimal digits, SHA-256 over the DER octets, the last moment."""

    serial: str
    fingerprint: str
    not_after: datetime


def authority(name: str, life: timedelta) -> Pair:
    """A self-signed authority; it signs certificates of devices or servers and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return _pair(builder.sign(key, SHA256()), key)


def client(issuer: Pair, name: str, uri: str, life: timedelta) -> Pair:
    """A certificate by which a device shows who it is; `uri` says so to programs."""
    return _issue(issuer, name, [x509.UniformResourceIdentifier(uri)], ExtendedKeyUsageOID.CLIENT_AUTH, life)


def server(issuer: Pair, host: str, life: timedelta) -> Pair:
    """A certificate for a server at a host name or address."""
    try:
        place: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        place = x509.DNSName(host)
    return _issue(issuer, host[:64], [place], ExtendedKeyUsageOID.SERVER_AUTH, life)


def facts(certificate: str) -> Facts:
    """The facts of a certificate."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    octets = found.public_bytes(Encoding.DER)
    return Facts(f"{found.serial_number:x}", fingerprint(octets), found.not_valid_after_utc)


def fingerprint(der: bytes) -> str:
    """What a certificate is known by: SHA-256 over its DER octets, in hexadecimal digits."""
    return sha256(der).hexdigest()


def _issue(
    issuer: Pair, name: str, places: Sequence[x509.GeneralName], purpose: x509.ObjectIdentifier, life: timedelta
) -> Pair:
    signer = load_pem_private_key(issuer.key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    parent = x509.load_pem_x509_certificate(issuer.certificate.encode())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), parent.subject, key.public_key(), life, until=parent.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(places), critical=False)
    parent_id = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(parent_id), critical=False
    )
    return _pair(builder.sign(signer, SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    life: timedelta,
    until: datetime | None = None,
) -> x509.CertificateBuilder:
    """Valid from yesterday for `life` from now, at most `until`."""
    now = utcnow().replace(microsecond=0)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - _SKEW)
    builder = builder.not_valid_after(min(now + life, until or now + life))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**_NO_USE | dict.fromkeys(uses, True))


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), secret.decode())
