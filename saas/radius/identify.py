"""Whose packet is it? The devices of the pool, and the order in which they are tried.

The listening port restricts to the pool: an engine serves one pool, its ports are the pool's, and the table holds the
devices of the pool's tenants only, for a while also of those that were moved away.

A packet that comes down a RadSec connection is of the device whose certificate the connection was opened with, before
anything else: its source, its NAS-Identifier and the mode of the device are not looked at (radsec.py). A device in mode
"certificate" is known by nothing else: none of its packets over UDP is taken.

Over UDP, candidates are tried in this order:

1. the device whose identifier is the packet's NAS-Identifier and whose fixed address is the source;
2. the device whose identifier is the packet's NAS-Identifier, when it is in mode "identifier" or has no fixed address;
3. devices in mode "ip" whose fixed address is the source;
4. devices in mode "ddns" whose name resolves to the source, or did until the last resolution;
5. in a dedicated pool, where the port tells the tenant: the tenant's devices in mode "identifier", when the packet
   names none of its devices by NAS-Identifier. Only a packet that proves itself, and only if it is proven by the secret
   of **exactly one** of them; not when they are more than PORT_ALONE, since each costs a digest. A device in mode "ip"
   or "ddns" was given an address on purpose: a packet from elsewhere is not its.

**The first candidate whose secret proves the packet wins**: by Message-Authenticator in an Access-Request or
Status-Server, by the keyed authenticator in accounting. So any number of tenants can share one address (CGNAT), and
nobody gains by registering another's identifier, address or host name. In a dedicated pool another tenant's devices
are no candidates, whatever they know: they are not in the table.

An Access-Request without Message-Authenticator proves nothing. It is taken, in this order, from 1; from the only
device of 3; from the only device of 4 where 3 has none, so that a host name pointing at another tenant's fixed
address loses. Where several devices share the address, from the only one whose policy is "optional". From 2 only when
its policy is "optional" and the address belongs to no other tenant. Never when the device's policy is "require".
With Proxy-State it is taken from a device with policy "optional" only: that is how the BlastRADIUS attack looks
(CVE-2024-3596). With EAP-Message it is never taken (RFC 3579 section 3.1).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

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

PORT_ALONE: Final = 32  # devices of a dedicated pool up to which one may be known by the port alone

_BY_ID = attrgetter("id")


class Nas:
    """A device with its secret ready for use; `resolved`: the addresses that its DDNS name stands or just stood for."""

    __slots__ = ("device", "id", "optional", "resolved", "roams", "secret", "tenant_active", "tenant_id", "vendor")

    def __init__(self, device: Device, resolved: Iterable[str] = ()) -> None:
        self.device = device
        self.resolved = tuple(resolved) if device.mode == "ddns" else ()
        self.id = device.id
        self.tenant_id = device.tenant_id
        self.tenant_active = device.tenant_active
        self.vendor = device.vendor
        self.secret = Secret(device.secret)
        self.roams = device.mode == "identifier" or not device.address
        self.optional = device.message_authenticator == "optional"


class Table:
    """The devices of a pool by identifier, address and tenant. It changes in place, a device at a time.

    Devices of one address stand in the order of their ids, so that every worker tries them alike.
    """

    def __init__(
        self,
        devices: Iterable[Device] = (),
        resolved: Mapping[str, Iterable[str]] | None = None,
        *,
        dedicated: bool = False,
    ) -> None:
        """`resolved` maps a device's id to the addresses that its DDNS name stands for, or just stood for.

        `dedicated`: the pool is one tenant's.
        """
        self.devices: dict[str, Nas] = {}
        self._dedicated = dedicated
        self._identifiers: dict[bytes, Nas] = {}
        self._fixed: dict[str, list[Nas]] = {}
        self._resolved: dict[str, list[Nas]] = {}
        self._anywhere: dict[str, Nas] = {}
        self._tenants: dict[str, set[str]] = {}
        for device in devices:
            self.put(device, (resolved or {}).get(device.id, ()))

    def put(self, device: Device, resolved: Iterable[str] = ()) -> None:
        """Add a device, or replace it. One without a secret cannot be served."""
        self.remove(device.id)
        if not device.secret:
            return
        nas = self.devices[device.id] = Nas(device, resolved)
        self._tenants.setdefault(nas.tenant_id, set()).add(nas.id)
        if device.mode == "certificate":
            return
        if device.identifier:
            self._identifiers[device.identifier.encode()] = nas
        if device.mode == "identifier":
            self._anywhere[nas.id] = nas
        for index, address in _addresses(nas, self._fixed, self._resolved):
            insort(index.setdefault(address, []), nas, key=_BY_ID)

    def remove(self, nas_id: str) -> None:
        """Forget a device, if it is there."""
        nas = self.devices.pop(nas_id, None)
        if nas is None:
            return
        identifier = nas.device.identifier.encode()
        if self._identifiers.get(identifier) is nas:  # another device may have it already
            del self._identifiers[identifier]
        self._anywhere.pop(nas_id, None)
        for index, address in _addresses(nas, self._fixed, self._resolved):
            index[address].remove(nas)
            if not index[address]:
                del index[address]
        ids = self._tenants[nas.tenant_id]
        ids.discard(nas_id)
        if not ids:
            del self._tenants[nas.tenant_id]

    def tenant_ids(self) -> frozenset[str]:
        """The tenants that have devices here."""
        return frozenset(self._tenants)

    def ids_of(self, tenant_id: str) -> frozenset[str]:
        """The devices of a tenant that are served."""
        return frozenset(self._tenants.get(tenant_id, ()))

    def identify(self, packet: Packet, source: str) -> Nas:
        """The device that sent the packet. BadPacket "unknown_nas", "bad_authenticator",
        "missing_message_authenticator" or "unproven_proxy_state" when it is not to be answered.
        """
        named = self._identifiers.get(packet.first.get(NAS_IDENTIFIER, b""))
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
        return list(nas.resolved)

    def _candidates(self, source: str, named: Nas | None) -> Iterator[Nas]:
        if named is not None and (named.roams or named.device.address == source):
            yield named
        for nas in (*self._fixed.get(source, ()), *self._resolved.get(source, ())):
            if nas is not named:
                yield nas

    def _proven(self, packet: Packet, source: str, named: Nas | None) -> Nas:
        if named is not None and (named.roams or named.device.address == source) and _proves(packet, named.secret):
            return named  # nearly always
        reason = "unknown_nas"
        for nas in self._candidates(source, named):
            if _proves(packet, nas.secret):
                return nas
            reason = "bad_authenticator"
        if named is None and self._dedicated and len(self._tenants) == 1:
            alone = self._by_port(packet)
            if alone is not None:
                return alone
        raise BadPacket(reason)

    def _by_port(self, packet: Packet) -> Nas | None:
        """The only device of the tenant that may be anywhere and whose secret proves the packet."""
        if len(self._anywhere) > PORT_ALONE:
            return None
        found = [nas for nas in self._anywhere.values() if _proves(packet, nas.secret)]
        return found[0] if len(found) == 1 else None

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


def _addresses(
    nas: Nas, fixed: dict[str, list[Nas]], resolved: dict[str, list[Nas]]
) -> list[tuple[dict[str, list[Nas]], str]]:
    """The places of a device in the two indexes of addresses."""
    places = [(resolved, address) for address in nas.resolved]
    if nas.device.mode == "ip" and nas.device.address:
        places.append((fixed, nas.device.address))
    return places


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
    if ":" not in address:
        return address
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address.partition("%")[0] if "%" in address else address


def check_certified(packet: Packet, nas: Nas) -> None:
    """A packet that came down a connection of this device is good. BadPacket "bad_authenticator" when what it carries
    as proof is wrong, "missing_message_authenticator" where one is a must: with EAP-Message (RFC 3579 section 3.1),
    in a Status-Server (RFC 5997 section 3), and in the policy "require".
    """
    if packet.proof_at or packet.code == ACCOUNTING_REQUEST:
        if not _proves(packet, nas.secret):
            raise BadPacket("bad_authenticator")
    elif packet.code != ACCESS_REQUEST or EAP_MESSAGE in packet.first or nas.device.message_authenticator == "require":
        raise BadPacket("missing_message_authenticator")
