"""What scenarios share: a folder, the generator, how long and how large, and servers that several of them use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from tests.bench import freeradius
from tests.bench.compare import Roles, Side, sample
from tests.bench.freeradius import FreeRadius
from tests.bench.generator import Generator
from tests.bench.ours import Service

ACCOUNTS = 1000  # of a tenant


@dataclass(frozen=True)
class Bench:
    """`seconds` is how long a side is measured in a round; `storm` is in requests a second."""

    folder: Path
    generator: Generator
    say: Callable[[str], None]
    tenants: int
    rounds: int
    seconds: float
    storm: int
    sustain: float
    stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def service(self, name: str, tenants: int, accounts: int = ACCOUNTS) -> Iterator[Service]:
        """A data set with an engine that knows everybody, for as long as it keeps what it knows."""
        service = Service(self.folder / name, tenants, accounts)
        try:
            took = service.fill()
            self.say(f"{tenants} tenants with {accounts} accounts each, made in {took:.0f} s")
            service.start(self.generator)
            service.warm(self.generator)
            yield service
        finally:
            service.end()
            service.stores.drop()
            shutil.rmtree(service.folder)

    @cached_property
    def large(self) -> Service:
        """The large data set, served until the bench ends."""
        return self.stack.enter_context(self.service("large", self.tenants))

    @cached_property
    def small(self) -> Service:
        """One tenant, served until the bench ends."""
        return self.stack.enter_context(self.service("small", 1))

    def side(self, service: Service, name: str = "OpenPNS", **options: object) -> Side:
        """A load on an engine of ours."""
        stream = service.stream(**{"seconds": self.seconds, **options})
        return Side(name, partial(sample, self.generator, service.roles, stream))

    def peer(self, peer: FreeRadius, roles: Roles, **options: object) -> Side:
        """A load on FreeRADIUS."""
        ports = {"auth": peer.auth, "acct": peer.acct, "secret": freeradius.SECRET, "timeout": 3000}
        stream = {**ports, "seconds": self.seconds, **options}
        return Side(peer.name, partial(sample, self.generator, roles, stream))

    @contextmanager
    def better(self, make: Callable[[Path, bool], FreeRadius], **options: object) -> Iterator[FreeRadius]:
        """FreeRADIUS, threaded or single, whichever answers more of this load."""
        rates = {}
        for single in (False, True):
            peer = make(self._new("freeradius"), single)
            try:
                side = self.peer(peer, peer.roles, **options)
                rates[single] = max(side.measure()["rate"] for _ in range(2))
                self.say(f"{peer.name}: {rates[single]:.0f} {options['kind']}/s")
            finally:
                peer.end()
        peer = make(self._new("freeradius"), max(rates, key=lambda single: rates[single]))
        try:
            yield peer
        finally:
            peer.end()

    def _new(self, name: str) -> Path:
        """A folder that is not there yet."""
        return next(path for path in (self.folder / f"{name}-{number}" for number in range(99)) if not path.exists())
