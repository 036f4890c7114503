"""Whose packet is it? The devices of the pool, and the order in which they are tried.

The listening port restricts to the pool: an engine serves one pool, its ports are the pool's, and the table holds the
pool's devices only. Within it, candidates are tried in this order:

1. the device whose identifier is the packet's NAS-Identifier and whose fixed address is the source;
2. the device whose identifier is the packet's NAS-Identifier, when it is in mode "identifier" or has no fixed address;
3. devices in mode "ip" whose fixed address is the source;
4. devices in mode "ddns" whose name resolves to the source, or did until the last resolution.

**The first candidate whose secret proves the packet wins**: by Message-Authenticator in an Access-Request or
Status-Server, by the keyed authenticator in accounting. So any number of tenants can share one address (CGNAT), and
nobody gains by registering another's identifier, address or host name.

An Access-Request without Message-Authenticator proves nothing. It is taken, in this order, from 1; from the only
device of 3; from the only device of 4 where 3 has none, so that a host name pointing at another tenant's fixed
address loses. Where several devices share the address, from the only one whose policy is "optional". From 2 only when
its policy is "optional" and the address belongs to no other tenant. Never when the device's policy is "require".
With Proxy-State it is taken from a device with policy "optional" only: that is how the BlastRADIUS attack looks
(CVE-2024-3596). With EAP-Message it is never taken (RFC 3579 section 3.1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from saas.radius.authenticators import Secret, proves_message, proves_request
from saas.radius.codec import (
    ACCESS_REQUEST,
    ACCOUNTING_REQUEST,
    EAP_MESSAGE,
    MESSAGE_AUTHENTICATOR,
    NAS_IDENTIFIER,
    PROXY_STATE,
    BadPacket,
    Packet,
)
from saas.tenants.nas import Device


class Nas:
    """A device with its secret ready for use."""

    __slots__ = ("device", "id", "optional", "roams", "secret", "tenant_id")

    def __init__(self, device: Device) -> None:
        self.device = device
        self.id = device.id
        self.tenant_id = device.tenant_id
        self.secret = Secret(device.secret)
        self.roams = device.mode == "identifier" or not device.address
        self.optional = device.message_authenticator == "optional"


class Table:
    """The devices of a pool by identifier and by address."""

    def __init__(self, devices: Iterable[Device] = (), resolved: Mapping[str, Iterable[str]] | None = None) -> None:
        """`resolved` maps a device's id to the addresses that its DDNS name stands for, or just stood for."""
        self.devices: dict[str, Nas] = {}
        self._identifiers: dict[bytes, Nas] = {}
        self._fixed: defaultdict[str, list[Nas]] = defaultdict(list)
        self._resolved: defaultdict[str, list[Nas]] = defaultdict(list)
        for device in devices:
            if device.secret:
                self._add(Nas(device), (resolved or {}).get(device.id, ()))

    def _add(self, nas: Nas, resolved: Iterable[str]) -> None:
        device = nas.device
        self.devices[nas.id] = nas
        if device.identifier:
            self._identifiers[device.identifier.encode()] = nas
        if device.mode == "ip" and device.address:
            self._fixed[device.address].append(nas)
        elif device.mode == "ddns":
            for address in resolved:
                self._resolved[address].append(nas)

    def identify(self, packet: Packet, source: str) -> Nas:
        """The device that sent the packet. BadPacket "unknown_nas", "bad_authenticator",
        "missing_message_authenticator" or "unproven_proxy_state" when it is not to be answered.
        """
        identifier = packet.first.get(NAS_IDENTIFIER)
        named = self._identifiers.get(identifier) if identifier else None
        if packet.proof_at or packet.code == ACCOUNTING_REQUEST:
            return self._proven(packet, source, named)
        return self._unproven(packet, source, named)

    def named(self, packet: Packet) -> Nas | None:
        """The device that has the packet's identifier, whether or not the packet is its own."""
        identifier = packet.first.get(NAS_IDENTIFIER)
        return self._identifiers.get(identifier) if identifier else None

    def suspects(self, packet: Packet, source: str) -> list[Nas]:
        """Every candidate for a packet, to tell its owner why it was dropped."""
        identifier = packet.first.get(NAS_IDENTIFIER)
        return list(self._candidates(source, self._identifiers.get(identifier) if identifier else None))

    def addresses(self, nas: Nas) -> list[str]:
        """The addresses that a device's DDNS name stands for."""
        return [address for address, found in self._resolved.items() if nas in found]

    def _candidates(self, source: str, named: Nas | None) -> Iterator[Nas]:
        if named is not None and (named.roams or named.device.address == source):
            yield named
        for nas in (*self._fixed.get(source, ()), *self._resolved.get(source, ())):
            if nas is not named:
                yield nas

    def _proven(self, packet: Packet, source: str, named: Nas | None) -> Nas:
        reason = "unknown_nas"
        for nas in self._candidates(source, named):
            if _proves(packet, nas.secret):
                return nas
            reason = "bad_authenticator"
        raise BadPacket(reason)

    def _unproven(self, packet: Packet, source: str, named: Nas | None) -> Nas:
        nas = self._trusted(source, named)
        if nas is None:
            known = next(self._candidates(source, named), None)
            raise BadPacket("missing_message_authenticator" if known else "unknown_nas")
        required = nas.device.message_authenticator == "require" or EAP_MESSAGE in packet.first
        if required or packet.code != ACCESS_REQUEST:
            raise BadPacket("missing_message_authenticator")
        if PROXY_STATE in packet.first and not nas.optional:
            raise BadPacket("unproven_proxy_state")
        return nas

    def _trusted(self, source: str, named: Nas | None) -> Nas | None:
        """The device that is believed without proof to have sent from this address."""
        if named is not None and named.device.address == source:
            return named
        owners = self._fixed.get(source) or self._resolved.get(source) or ()
        if named is not None and named.roams and named.optional and _all_of(named.tenant_id, owners):
            return named
        if len(owners) == 1:
            return owners[0]
        willing = [nas for nas in owners if nas.optional]
        return willing[0] if len(willing) == 1 else None


def _all_of(tenant_id: str, owners: Sequence[Nas]) -> bool:
    return all(nas.tenant_id == tenant_id for nas in owners)


def _proves(packet: Packet, secret: Secret) -> bool:
    """Accounting is proven by its authenticator, and by Message-Authenticator too when it carries one."""
    if packet.code == ACCOUNTING_REQUEST:
        return proves_request(packet, secret) and (
            MESSAGE_AUTHENTICATOR not in packet.first or proves_message(packet, secret)
        )
    return proves_message(packet, secret)


def normal_source(address: str) -> str:
    """A source address as the kernel spells it, IPv4 mapped into IPv6 as IPv4, without a zone."""
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address.partition("%")[0] if "%" in address else address
