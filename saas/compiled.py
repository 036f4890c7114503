"""The path of a packet as machine code: the very same modules, compiled by mypyc (``make compile``).

What was compiled lies beside the package, in ``.compiled``, with a stamp of the sources it was made from. A process
that calls `use` before it imports the modules gets the compiled ones; where there are none, or the sources have changed
since, or another Python runs, it gets the sources, which do the same at a third of the speed.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
FOLDER: Final = HERE.parent / ".compiled"
STAMP: Final = "stamp"

# Types are checked at run time in what is compiled, and names are bound early: no test can put a double into it. So
# what is compiled is the path of packets and of their records, and nothing else.
MODULES: Final = (
    "radius.acct",
    "radius.auth",
    "radius.authenticators",
    "radius.batches",
    "radius.codec",
    "radius.counters",
    "radius.duplicates",
    "radius.eap",
    "radius.eap_mschapv2",
    "radius.gate",
    "radius.guard",
    "radius.identify",
    "radius.lanes",
    "radius.logins",
    "radius.methods",
    "radius.radsec",  # its requests are the gate's
    "radius.replies",
    "radius.server",
    "radius.stations",
    "radius.tokens",
    "tenants.access",
    "tenants.accounting",
    "tenants.apply",
    "tenants.journal",
    "tenants.known",
    "tenants.metering",
    "tenants.slots",
)


# Modules that C takes the place of: system calls that Python does not have, and digests of so few octets that the calls
# cost more
EXTENSIONS: Final = ("radius.datagrams", "radius.wire")


def files(names: Iterable[str] = MODULES, suffix: str = ".py") -> list[Path]:
    """The sources of modules."""
    return [HERE.joinpath(*name.split(".")).with_suffix(suffix) for name in names]


def stamp() -> str:
    """A digest of what runs the sources, and of all of them: constants of other modules are compiled in."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted([*HERE.rglob("*.py"), *HERE.rglob("*.c"), *HERE.rglob("*.h")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def use() -> bool:
    """Let the modules that are imported from now on be the compiled ones; whether there are any that fit."""
    try:
        fits = (FOLDER / STAMP).read_text() == stamp()
    except FileNotFoundError:
        return False
    if fits:
        sys.path.append(str(FOLDER))  # of the library that they share
        for package in sorted({name.partition(".")[0] for name in MODULES}):
            importlib.import_module(f"saas.{package}").__path__.insert(0, str(FOLDER / "saas" / package))
    return fits
