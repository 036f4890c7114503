"""Network namespaces: this host, a gateway, and a client that sees only the gateway.

    this host  .1 -- veth 198.18.n.0/24 -- .2  gateway  .1 -- veth 198.19.n.0/24 -- .2  client

A process that runs in one has a /run of its own, so that two daemons of one kind do not meet there.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.gateways.conftest import run
from tests.support import PATIENCE, until

TUN = Path("/dev/net/tun")

_SERVE = """
import socket
with socket.create_server(("{address}", 8080)) as server:
    print("ready", flush=True)
    server.accept()[0].sendall(bytes({octets}))
"""
_FETCH = """
import socket
with socket.create_connection(("{address}", 8080), 20) as got:
    print(len(got.makefile("rb").read()))
"""


def missing(*programs: str) -> str:
    """What keeps tests with namespaces from running here; "" when nothing does."""
    absent = [program for program in ("ip", "unshare", *programs) if not shutil.which(program)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode:
        return "network namespaces cannot be made here (not root?)"
    return "" if TUN.exists() else f"{TUN} is not there"


class Network:
    """The three, for as long as the context lasts. `host`, `gateway` and `inner` are addresses, see above."""

    def __init__(self) -> None:
        number, name = secrets.randbelow(254) + 1, secrets.token_hex(3)
        self.gateway_ns, self.client_ns = f"gate-{name}", f"user-{name}"
        self._outside, self._inside = (f"pns-o-{name}", f"pns-i-{name}"), (f"pns-g-{name}", f"pns-c-{name}")
        self.host, self.gateway = f"198.18.{number}.1", f"198.18.{number}.2"
        self.inner, self.client = f"198.19.{number}.1", f"198.19.{number}.2"
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        try:
            await self._make()
        except BaseException:
            await self._remove()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()
        await self._remove()

    async def stop(self) -> None:
        """End what runs there."""
        await asyncio.gather(*(end(process) for process in self._processes))
        self._processes.clear()

    async def _make(self) -> None:
        for namespace in (self.gateway_ns, self.client_ns):
            await ip("netns", "add", namespace)
            await ip("-n", namespace, "link", "set", "lo", "up")
        await self._join(self._outside, ("", self.gateway_ns), (self.host, self.gateway))
        await self._join(self._inside, (self.gateway_ns, self.client_ns), (self.inner, self.client))

    async def _join(self, links: tuple[str, str], namespaces: tuple[str, str], addresses: tuple[str, str]) -> None:
        await ip("link", "add", links[0], "type", "veth", "peer", "name", links[1])
        for link, namespace, address in zip(links, namespaces, addresses, strict=True):
            there = ["-n", namespace] if namespace else []
            if namespace:
                await ip("link", "set", link, "netns", namespace)
            await ip(*there, "address", "add", f"{address}/24", "dev", link)
            await ip(*there, "link", "set", link, "up")

    async def _remove(self) -> None:
        for namespace in (self.gateway_ns, self.client_ns):
            await run("ip", "netns", "delete", namespace)
        for link in (*self._outside, *self._inside):
            await run("ip", "link", "delete", link)

    async def run(self, namespace: str, *command: str) -> tuple[int, str]:
        """Run a program in a namespace to its end: exit status, and what it printed."""
        return await run("ip", "netns", "exec", namespace, *command)

    async def fetch(self, address: str, octets: int, log: Path) -> None:
        """The client asks a server of the gateway's for so many octets, and gets them, else AssertionError."""
        await self.start(self.gateway_ns, sys.executable, "-c", _SERVE.format(address=address, octets=octets), log=log)
        await until(log.read_text, "the server is ready")
        status, printed = await self.run(self.client_ns, sys.executable, "-c", _FETCH.format(address=address))
        assert (status, printed.strip()) == (0, str(octets))

    async def start(self, namespace: str, *command: str, log: Path, **environment: str) -> asyncio.subprocess.Process:
        """Run a program in a namespace until the context ends, or `end` does; what it prints goes to `log`."""
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *("ip", "netns", "exec", namespace),
                *("sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=os.environ | environment,
            )
        self._processes.append(process)
        return process


async def ip(*arguments: str) -> None:
    """Run `ip`; AssertionError with its words when it fails."""
    status, printed = await run("ip", *arguments)
    assert status == 0, f"ip {' '.join(arguments)}: {printed}"


async def end(process: asyncio.subprocess.Process) -> None:
    """Let a process end by itself, and by force if it does not."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
