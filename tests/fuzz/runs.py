"""What is fuzzed, each by `await run(samples, seed, packets)`: the ways into the engine that are open to strangers.

auth, acct   datagrams to the ports, by tests/fuzz/gates.py
replies      what is told to be an answer: codec.parse and authenticators.parse_reply, against the witness
values       every attribute of the dictionary with any octets
texts        MAC addresses, names and Class tokens of any octets
ports        the VLANs of a NAS-Port-Id of any octets
"""

from __future__ import annotations

import gc
import logging
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from saas.radius import codec
from saas.radius.authenticators import Secret, parse_reply
from saas.radius.codec import BadPacket
from saas.radius.identify import normal_source
from saas.radius.server import Datagram
from saas.radius.stations import station
from saas.radius.tokens import NONE, Tokens
from saas.tenants.ports import normal_vlan, vlan_of
from saas.values import normal_username
from tests.fuzz import corpus, witness
from tests.fuzz.corpus import Sample
from tests.fuzz.gates import Fault, Gates, address, gates
from tests.fuzz.mutate import OTHER_SECRET, Mutator, sign_answer

BATCH: Final = 256
_PORT_IDS: Final = (
    b"0/0/1:100.2001",
    b"eth 2/0/5:4096.100 0/0/0/0/0/0",
    b"trunk 1/2/3:7",
    b"slot=2;subslot=0;port=5;vlanid=100;vlanid2=2001",
    b"slot=0;subslot=0;port=1;VPI=8;VCI=35;",
    b"atm 1/0/3:8.35",
    b"ether5",
    b"<pppoe-alice>",
    b"Uniq-Sess-ID77",
)
_GROWTH: Final = 48 << 20  # octets that a process may grow by after its caches are full

Run = Callable[[Sequence[Sample], int, int], Awaitable[None]]


class Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        self.told.append(self.format(record))


@contextmanager
def no_errors() -> Iterator[Errors]:
    """Watches the log."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(errors)


async def ports(way: str, samples: Sequence[Sample], seed: int, packets: int) -> None:
    """Mutated requests to one port."""
    mutator = Mutator([sample for sample in samples if sample.way == way], seed)
    dice, before = mutator.dice, 0
    async with gates() as worker:
        for done in range(0, packets, BATCH):
            batch = [(mutator.packet(), address(dice)) for _ in range(min(BATCH, packets - done))]
            for _ in range(4):  # a packet again, and another one under its header
                data, whence = dice.choice(batch)
                batch[dice.randrange(len(batch))] = (mutator.spoilt(data), whence)
            await tried(worker, way, batch)
            if done // BATCH == max(packets // BATCH // 2, 1):
                before = resident()
    if before and resident() - before > _GROWTH:
        raise Fault(f"the process grew from {before >> 20} to {resident() >> 20} MB")


async def tried(worker: Gates, way: str, batch: Sequence[Datagram]) -> None:
    """Feed a batch. Fault, with the one packet that alone does the same, when there is one."""
    try:
        await fed(worker, way, batch)
    except Exception as error:
        for each in batch:
            async with gates() as fresh:
                try:
                    await fed(fresh, way, [each])
                except Exception as alone:
                    raise Fault(str(alone), [each[0]]) from alone
        raise Fault(str(error), [data for data, _ in batch]) from error


async def fed(worker: Gates, way: str, batch: Sequence[Datagram]) -> None:
    """Feed a batch; an error in the log is a Fault too."""
    with no_errors() as errors:
        await worker.feed(way, batch)
    if errors.told:
        raise Fault(errors.told[0][-600:])


async def replies(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """`parse` and `parse_reply` take exactly what the witness takes."""
    answers = [sample for sample in samples if sample.way == "answer"]
    mutator = Mutator(answers, seed)
    for _ in range(packets):
        request = mutator.dice.randbytes(20)
        octets = answer(mutator, request)
        expected = witness.read(octets)
        try:
            found = codec.parse(octets).raw
        except BadPacket:
            found = b""
        if found != (expected.octets if expected else b""):
            raise Fault("parse and the witness disagree", [octets])
        try:
            believed = parse_reply(octets, request, Secret(corpus.SECRET)).raw != b""
        except BadPacket:
            believed = False
        if believed != (expected is not None and witness.proven_answer(expected, request, corpus.SECRET)):
            raise Fault("parse_reply and the witness disagree", [octets])


def answer(mutator: Mutator, request: bytes) -> bytes:
    """A mutated answer to a request, more often than not by the right device."""
    dice = mutator.dice
    found = None
    while found is None:
        found = witness.read(dice.choice(mutator.samples).octets)
    code = dice.choices((found.code, dice.randrange(256)), (9, 1))[0]
    body = witness.packed([pair for pair in mutator.attributes(found.attributes) if pair[0] != witness.PROOF])
    secret = dice.choices((corpus.SECRET, OTHER_SECRET), (5, 1))[0]
    octets = sign_answer(code, request, body, secret, proves=dice.random() < 0.5)
    return mutator.spoilt(octets) if dice.random() < 0.5 else octets


async def values(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """Every attribute of the dictionary reads as its documented type, or as absent."""
    dice = random.Random(seed)
    names = sorted(codec.DICTIONARY.attributes)
    types = {"octets": bytes, "integer": int, "date": int}
    for number in range(packets):
        name = names[number % len(names)]
        size = dice.choice((0, 1, 2, 3, 4, 5, 6, 8, 16, 17, 18, 19, dice.randrange(248)))
        vendor, kind, shape, _tagged = codec.definition(name)
        value = dice.randbytes(size)
        octets = codec.vendor_attribute(vendor, kind, value[:247]) if vendor else codec.plain(kind, value)
        head = b"\4\1" + (20 + len(octets)).to_bytes(2, "big") + bytes(16)
        try:
            packet = codec.parse(head + octets)
        except BadPacket:  # a Message-Authenticator of the wrong size
            continue
        found = packet.value(name)
        if found is not None and not isinstance(found, types.get(shape, str)):
            raise Fault(f"{name} reads as {type(found).__name__}", [head + octets])
        packet.values(name)


async def texts(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """One spelling is reached at once, and only our own Class is believed."""
    mutator = Mutator(samples, seed)
    dice, tokens = mutator.dice, Tokens(b"k" * 32)
    ours = tokens.sign("ten_1", "acc_1", "slot")
    for _ in range(packets):
        pairs = mutator.attributes([(31, b"AA-BB-CC-00-11-22:Cafe"), (1, b"ACME\\alice"), (25, ours)])
        for _kind, octets in pairs:
            spelt = station(octets)
            if station(spelt.encode()) != spelt:
                raise Fault(f"a station has two spellings: {spelt!r}", [octets])
            name = normal_username(codec.text(octets))
            if normal_username(name) != name:
                raise Fault(f"a name has two spellings: {name!r}", [octets])
            normal_source(codec.text(octets))
        believed = tokens.read("ten_1", [octets for _, octets in pairs])
        if (believed != NONE) != (ours in [octets for _, octets in pairs]):
            raise Fault("a Class is believed that is not ours", [ours])
        if tokens.read("ten_2", [octets for _, octets in pairs]) != NONE:
            raise Fault("a Class is believed at another tenant", [ours])
        garbage = bytearray(ours)
        garbage[dice.randrange(len(garbage))] ^= 1 << dice.randrange(8)
        if tokens.read("ten_1", [bytes(garbage)]) != NONE:
            raise Fault("a Class with a wrong bit is believed", [bytes(garbage)])


async def port_ids(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """The VLANs in a NAS-Port-Id are one or two that there can be, and read the same however a device spells them."""
    mutator = Mutator(samples, seed)
    dice = mutator.dice
    for _ in range(packets):
        octets = dice.choice(_PORT_IDS)
        for _ in range(dice.choice((0, 1, 1, 2, 4))):
            octets = _respelt(dice, octets)
        octets = mutator.spoilt(octets)
        vlan = vlan_of(octets)
        tags = vlan.split(".") if vlan else []
        if len(tags) > 2 or not all(tag.isascii() and 0 < int(tag) < 4095 and tag == str(int(tag)) for tag in tags):
            raise Fault(f"a VLAN that there is not: {vlan!r}", [octets])
        if normal_vlan(vlan) != vlan or (vlan and vlan_of(b"eth 0/0/0:" + vlan.encode()) != vlan):
            raise Fault(f"a VLAN has two spellings: {vlan!r}", [octets])


def _respelt(dice: random.Random, octets: bytes) -> bytes:
    """Another number, separator or piece somewhere."""
    at = dice.randrange(len(octets) + 1)
    number = str(dice.choice((0, 1, 4094, 4095, 4096, 65_536, dice.randrange(100_000)))).encode()
    piece = dice.choice((number, number, *(bytes([octet]) for octet in b" ;:./=\n\0"), b"vlanid=", b"trunk "))
    return octets[:at] + piece + octets[at + dice.choice((0, 0, 1, 3)) :]


def resident() -> int:
    """Octets of memory that this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def auth(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """Mutated requests to the authentication port."""
    await ports("auth", samples, seed, packets)


async def acct(samples: Sequence[Sample], seed: int, packets: int) -> None:
    """Mutated requests to the accounting port."""
    await ports("acct", samples, seed, packets)


RUNS: Final[dict[str, Run]] = {
    "auth": auth,
    "acct": acct,
    "replies": replies,
    "values": values,
    "texts": texts,
    "ports": port_ids,
}
