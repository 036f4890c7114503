"""Real packets made wrong: by their structure, by their octets, and by who signs them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from tests.fuzz.corpus import SECRET, Sample
from tests.fuzz.witness import KEYED, PROOF, Attributes, message_proof, packed, read

OTHER_SECRET = b"other-secret"  # of another tenant's device
_SIZES = (0, 1, 2, 3, 4, 5, 6, 8, 15, 16, 17, 18, 32, 50, 127, 128, 129, 252, 253)
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_TEXTS = (
    *("", " ", "\0", "alice\0", "ALICE ", "\\", "a\\b\\alice", "alice@", "@", "İ", "ß", "e\u0301", "\u202ealice"),
    *("\ud7ff", "😀" * 20, "%s%n", "$where", "a.b", "../..", "'; --", "<b>", "{}", "\r\n", "|" * 40, "9" * 40),
    *("AA-BB-CC-00-11-22", "aabb.cc00.1122", "aa:bb:cc:00:11:22:SSID", "10.0.0.1[4500]", "::ffff:1.2.3.4", "fe80::1%x"),
    *("slot=1;subslot=0;port=3;vlanid=100;vlanid2=;", "0/0/1/100.200", "eth 1/1/01:4096.0 0/0/0/0/0/0", "vlanid=-1"),
)
_VENDORS = (9, 311, 2011, 14988, 14122, 14559, 25506, 3902, 529, 10055, 0, 0xFFFFFFFF)


class Mutator:
    """Makes packets from samples by the dice alone: the same seed gives the same packets."""

    def __init__(self, samples: Sequence[Sample], seed: int) -> None:
        self.dice = random.Random(seed)
        self.samples = samples
        self._changes: tuple[Callable[[Attributes], None], ...] = (
            *(self._drop, self._double, self._swap, self._shuffle, self._replace, self._flip, self._number, self._text),
            *(self._retype, self._confuse, self._splice, self._nest, self._crowd, self._lie_inside, self._add),
        )

    def packet(self) -> bytes:
        """A request of one of the samples, changed and signed by someone or no one."""
        sample = self.dice.choice(self.samples)
        found = read(sample.octets)
        if found is None:  # a regression case that never was a packet
            return self._spoil(sample.octets)
        attributes = self.attributes(found.attributes)
        code, number, authenticator = found.code, found.octets[1], found.octets[4:20]
        if self.dice.random() < 0.1:
            number = self.dice.randrange(256)
        if self.dice.random() < 0.05:
            authenticator = self.dice.choice((bytes(16), b"\xff" * 16, self.dice.randbytes(16)))
        if self.dice.random() < 0.03:
            code = self.dice.choice((1, 2, 3, 4, 5, 11, 12, 40, 41, 43, self.dice.randrange(256)))
        octets = self._signed(code, number, authenticator, attributes)
        return self._spoil(octets) if self.dice.random() < 0.15 else octets

    def attributes(self, attributes: Attributes) -> Attributes:
        """A few of these attributes changed, cut to what fits into a packet."""
        changed = list(attributes)
        for _ in range(self.dice.choice((0, 1, 1, 2, 3, 6))):
            self.dice.choice(self._changes)(changed)
        room = 4096 - 20 - 18
        for at, (_, value) in enumerate(changed):
            room -= len(value) + 2
            if room < 0:
                return changed[:at]
        return changed

    def spoilt(self, octets: bytes) -> bytes:
        """Octets changed without care for their meaning, or left as they are."""
        return self._spoil(octets) if self.dice.random() < 0.5 else octets

    # who signs

    def _signed(self, code: int, number: int, authenticator: bytes, attributes: Attributes) -> bytes:
        way = self.dice.choices(("right", "wrong", "stale", "none", "lying"), (66, 8, 8, 8, 10))[0]
        secret = self.dice.choice((OTHER_SECRET, b"wrong-secret")) if way == "wrong" else SECRET
        stale = [value for kind, value in attributes if kind == PROOF and len(value) == 16]
        had = bool(stale)
        if way != "stale":
            attributes = [(kind, value) for kind, value in attributes if kind != PROOF]
        body = packed(attributes)
        if way == "lying":  # properly signed, but the attributes are not what their lengths say
            body = self._spoil(body)[: 4096 - 38]
        proves = way not in ("stale", "none") and had
        return sign(code, number, authenticator, body, secret, proves=proves, keys=way not in ("stale", "none"))

    # how attributes change

    def _at(self, attributes: Attributes) -> int:
        if not attributes:
            attributes.append((1, b"alice"))
        return self.dice.randrange(len(attributes))

    def _drop(self, attributes: Attributes) -> None:
        del attributes[self._at(attributes)]

    def _double(self, attributes: Attributes) -> None:
        found = attributes[self._at(attributes)]
        attributes.insert(self._at(attributes), found)

    def _swap(self, attributes: Attributes) -> None:
        one, other = self._at(attributes), self._at(attributes)
        attributes[one], attributes[other] = attributes[other], attributes[one]

    def _shuffle(self, attributes: Attributes) -> None:
        self.dice.shuffle(attributes)

    def _replace(self, attributes: Attributes) -> None:
        at = self._at(attributes)
        attributes[at] = (attributes[at][0], self.dice.randbytes(self.dice.choice(_SIZES)))

    def _flip(self, attributes: Attributes) -> None:
        at = self._at(attributes)
        kind, value = attributes[at]
        attributes[at] = (kind, self._flipped(value))

    def _number(self, attributes: Attributes) -> None:
        at = self._at(attributes)
        attributes[at] = (attributes[at][0], self.dice.choice(_NUMBERS).to_bytes(4, "big"))

    def _text(self, attributes: Attributes) -> None:
        at = self._at(attributes)
        text = self.dice.choice(_TEXTS).encode()
        attributes[at] = (attributes[at][0], (text * self.dice.choice((1, 1, 1, 9)))[:253])

    def _retype(self, attributes: Attributes) -> None:
        at = self._at(attributes)
        attributes[at] = (self.dice.randrange(256), attributes[at][1])

    def _confuse(self, attributes: Attributes) -> None:
        one, other = self._at(attributes), self._at(attributes)
        first, second = attributes[one], attributes[other]
        attributes[one], attributes[other] = (first[0], second[1]), (second[0], first[1])

    def _splice(self, attributes: Attributes) -> None:
        other = read(self.dice.choice(self.samples).octets)
        if other is not None:
            cut = self.dice.randrange(len(other.attributes) + 1)
            attributes[self._at(attributes) :] = other.attributes[cut:]

    def _nest(self, attributes: Attributes) -> None:
        """One or several attributes inside a vendor's envelope, perhaps of another vendor, perhaps twice."""
        inside = packed([attributes[self._at(attributes)] for _ in range(self.dice.choice((1, 2, 5)))])
        vendor = self.dice.choice(_VENDORS).to_bytes(4, "big")
        attributes.insert(self._at(attributes), (26, (vendor + inside)[:253]))

    def _lie_inside(self, attributes: Attributes) -> None:
        """A vendor's attribute whose own length is wrong."""
        at = next((at for at, (kind, _) in enumerate(attributes) if kind == 26), None)
        if at is not None and len(attributes[at][1]) > 5:
            value = bytearray(attributes[at][1])
            value[5] = self.dice.choice((0, 1, 2, 3, 254, 255, self.dice.randrange(256)))
            attributes[at] = (26, bytes(value))

    def _crowd(self, attributes: Attributes) -> None:
        """As many of one attribute as the packet holds."""
        kind, value = attributes[self._at(attributes)]
        kind, value = self.dice.choice(((kind, value), (33, self.dice.randbytes(253)), (25, b""), (79, bytes(253))))
        attributes += [(kind, value)] * self.dice.choice((3, 16, 400))

    def _add(self, attributes: Attributes) -> None:
        value = self.dice.choice((b"", self.dice.randbytes(4), self.dice.randbytes(16), b"alice"))
        attributes.insert(self._at(attributes), (self.dice.randrange(256), value))

    # how octets change

    def _spoil(self, octets: bytes) -> bytes:
        spoilt = bytearray(octets)
        for _ in range(self.dice.choice((1, 1, 2, 4))):
            self._spoil_once(spoilt)
        return bytes(spoilt)

    def _spoil_once(self, octets: bytearray) -> None:
        dice = self.dice
        how = dice.randrange(7)
        at = dice.randrange(len(octets) + 1)
        if how == 0:
            octets[:] = self._flipped(bytes(octets))
        elif how == 1:
            del octets[at:]
        elif how == 2:
            octets += dice.randbytes(dice.choice((1, 2, 18, 200)))
        elif how == 3 and len(octets) >= 4:
            octets[2:4] = dice.choice((0, 19, 20, 21, len(octets) - 1, len(octets) + 1, 4096, 4097, 65535)).to_bytes(2)
        elif how == 4:
            octets[at : at + dice.randrange(20)] = dice.randbytes(dice.randrange(20))
        elif how == 5 and octets:
            octets[at % len(octets)] = dice.choice((0, 1, 2, 3, 127, 128, 254, 255))
        else:
            octets[at:at] = octets[: dice.randrange(40)]

    def _flipped(self, octets: bytes) -> bytes:
        flipped = bytearray(octets)
        for _ in range(self.dice.choice((1, 1, 3))):
            if flipped:
                flipped[self.dice.randrange(len(flipped))] ^= 1 << self.dice.randrange(8)
        return bytes(flipped)


def sign(
    code: int,
    number: int,
    authenticator: bytes,
    body: bytes,
    secret: bytes = SECRET,
    *,
    proves: bool = True,
    keys: bool = True,
) -> bytes:
    """A request: with Message-Authenticator first if `proves`, its authenticator keyed where that is the rule."""
    if proves:
        body = bytes((PROOF, 18)) + bytes(16) + body
    head = bytes((code, number)) + (20 + len(body)).to_bytes(2, "big")
    keyed = code in KEYED and keys
    if proves:
        proof = message_proof(head + authenticator + body, secret, bytes(16) if keyed else authenticator)
        body = body[:2] + proof + body[18:]
    if keyed:
        authenticator = hashlib.md5(head + bytes(16) + body + secret).digest()
    return head + authenticator + body


def sign_answer(code: int, request: bytes, body: bytes, secret: bytes = SECRET, *, proves: bool = True) -> bytes:
    """The answer to a request."""
    octets = sign(code, request[1], request[4:20], body, secret, proves=proves, keys=False)
    return octets[:4] + hashlib.md5(octets + secret).digest() + octets[20:]
