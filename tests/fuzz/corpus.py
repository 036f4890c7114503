"""The corpus: packets of real devices, and packets that once broke something.

A file holds one packet or several, as hexadecimal digits with an empty line between two, and says in its first line
what it is. Its name begins with the way it takes: "auth-" and "acct-" are sent to these ports, "answer-" is what a
device answers to a Disconnect- or CoA-Request. "found-…" was found by the mutator; its way stands second. Those of
radclient and eapol_test were recorded on the wire, the others are the attribute sets that the devices named send.

Every device shares the secret "corpus-secret"; "nas-corpus" always proves itself, "nas-unsigned" never does, as
OpenVPN's plugin and pppd. The user is alice with the password "alice-secret"; bob, with the same one, may have one
session.
"""

from __future__ import annotations

import textwrap
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "corpus"
SECRET = b"corpus-secret"
PASSWORD = "alice-secret"
SIGNING, UNSIGNED = "nas-corpus", "nas-unsigned"
USERS = ("alice", "alice@isp", "bob")


class Sample(NamedTuple):
    """A packet of the corpus and the way it takes: "auth", "acct" or "answer"."""

    name: str
    way: str
    octets: bytes


def load() -> list[Sample]:
    """Every packet of the corpus."""
    samples = []
    for path in sorted(FOLDER.glob("*.hex")):
        parts = path.stem.split("-")
        way = parts[1] if parts[0] == "found" else parts[0]
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
        samples += [Sample(path.stem, way, bytes.fromhex(packet)) for packet in text.split("\n\n") if packet.strip()]
    return samples


def keep(way: str, what: str, packets: list[bytes]) -> Path:
    """Add packets that broke something; what they broke is the first line."""
    name = sha256(b"".join(packets)).hexdigest()[:10]
    path = FOLDER / f"found-{way}-{name}.hex"
    body = "\n\n".join("\n".join(textwrap.wrap(packet.hex(), 96)) for packet in packets)
    path.write_text(f"# {' '.join(what.split())[:110]}\n{body}\n")
    return path
