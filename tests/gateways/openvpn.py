"""OpenVPN as gateway, with the RADIUS plugin that Debian has, and as client; each in a namespace of its own."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from saas.tenants.config_text import Snippet
from tests.gateways.certificates import self_signed
from tests.gateways.netns import Network, end
from tests.support import until

PLUGIN = Path("/usr/lib/openvpn/radiusplugin.so")

_HOME = Path("/etc/openvpn")
_UP, _REFUSED = "Initialization Sequence Completed", "AUTH_FAILED"
# As Debian's unit does; the folder of the test lies where the configuration expects it
_START = """
mount --bind "$0" /etc/openvpn && mkdir /run/openvpn && exec openvpn \\
    --status /run/openvpn/server.status 10 --cd /etc/openvpn --config /etc/openvpn/server.conf
"""


def missing() -> str:
    """Which part of OpenVPN is not installed; "" when all of it is."""
    if not shutil.which("openvpn") or not PLUGIN.exists() or not _HOME.is_dir():
        return "OpenVPN with its RADIUS plugin (Debian: openvpn, openvpn-auth-radius) is not installed"
    return ""


class Gateway:
    """A server made of our ready-made configuration as it is, which it finds at the places that are named there."""

    def __init__(self, network: Network, folder: Path, snippets: Sequence[Snippet]) -> None:
        self._network = network
        self._folder = folder
        self._log = folder.with_suffix(".log")
        self.fixed = folder / "radius"  # where the plugin leaves addresses of users
        self.fixed.mkdir(parents=True)
        (self.fixed / "dave").write_text("ifconfig-push 10.8.128.1 255.255.0.0\n")  # of a gateway that was killed
        for snippet in snippets:
            if Path(snippet.file).is_relative_to(_HOME):
                (folder / Path(snippet.file).relative_to(_HOME)).write_text(snippet.text)
        certificate, key = self_signed(network.inner)
        for name, octets in (("ca.crt", certificate), ("server.crt", certificate), ("server.key", key)):
            (folder / name).write_bytes(octets)

    @property
    def certificate(self) -> bytes:
        """What clients must trust."""
        return (self._folder / "ca.crt").read_bytes()

    async def start(self) -> None:
        """Start it."""
        await self._network.start(self._network.gateway_ns, "sh", "-c", _START, str(self._folder), log=self._log)
        await until(lambda: _UP in self.log(), "the gateway is ready")

    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text()


class Client:
    """A client with the profile that we make for customers; only the gateway's address is that of the network."""

    def __init__(self, network: Network, folder: Path, profile: str, certificate: bytes) -> None:
        self._network = network
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir()
        (folder / "ca.crt").write_bytes(certificate)
        (folder / "client.ovpn").write_text(re.sub("(?m)^remote .*$", f"remote {network.inner} 1194", profile))

    async def dial(self, username: str, password: str, *options: str) -> tuple[bool, str]:
        """Whether it got in, and what it said. It stays on the line if it did, and leaves if it did not."""
        (self._folder / "login").write_text(f"{username}\n{password}\n")
        log = self._folder / f"{secrets.token_hex(4)}.log"
        command = ["openvpn", "--cd", str(self._folder), "--config", "client.ovpn", "--auth-user-pass", "login"]
        self._process = process = await self._network.start(self._network.client_ns, *command, *options, log=log)

        def decided() -> bool:
            said = log.read_text()
            return _UP in said or _REFUSED in said or process.returncode is not None

        await until(decided, "the client is in or refused")
        return _UP in log.read_text(), log.read_text()

    async def hang_up(self) -> None:
        """Leave, and say so."""
        if self._process is not None:
            await end(self._process)
