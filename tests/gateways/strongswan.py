"""strongSwan as gateway and as client, each a charon in a namespace of its own, with ESP in user space over TUN."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from saas.tenants.config_text import Snippet
from tests.gateways.certificates import self_signed
from tests.gateways.conftest import run
from tests.gateways.netns import Network
from tests.support import until

CHARON = Path("/usr/lib/ipsec/charon")
PLUGINS = Path("/usr/lib/ipsec/plugins")
NEEDED = ("eap-radius", "eap-identity", "eap-mschapv2", "kernel-libipsec", "vici", "gcrypt")

_LOAD = (
    "random nonce x509 constraints pubkey pkcs1 pkcs8 pem gcrypt gmp aes sha1 sha2 md5 hmac kdf "
    "kernel-libipsec kernel-netlink socket-default vici eap-identity eap-mschapv2 eap-radius"
)
# As Debian has it: each plugin says in a file of its own whether it is loaded. Their order is built in: that of ESP in
# user space comes before that of the kernel, which then serves for routes alone.
_DAEMON = """
charon {{
    load_modular = yes
    filelog {{
        log {{
            path = {folder}/log
            flush_line = yes
        }}
    }}
    plugins {{
        include {folder}/plugins.d/*.conf
        vici {{
            socket = unix://{folder}/vici
        }}
    }}
}}
"""
# For the client, which is no subject of the test.
_CLIENT = """
connections {{
    home {{
        version = 2
        remote_addrs = {server}
        vips = 0.0.0.0
        local {{
            auth = eap-mschapv2
            id = {username}
            eap_id = {username}
        }}
        remote {{
            auth = pubkey
            id = {identity}
        }}
        children {{
            home {{
                remote_ts = {network}
                esp_proposals = aes128-sha256
            }}
        }}
    }}
}}
secrets {{
    eap {{
        id = {username}
        secret = "{password}"
    }}
}}
"""


def missing() -> str:
    """Which part of strongSwan is not installed; "" when all of it is."""
    absent = [name for name in NEEDED if not (PLUGINS / f"libstrongswan-{name}.so").exists()]
    if not CHARON.exists() or absent:
        return "strongSwan (Debian: strongswan-charon, strongswan-swanctl and its extra plugins) is not installed"
    return ""


class Charon:
    """One daemon. It runs from a copy, since distributions forbid the installed one to read below /tmp."""

    def __init__(self, network: Network, namespace: str, folder: Path) -> None:
        self._network = network
        self._namespace = namespace
        self._folder = folder
        self._paths = {"STRONGSWAN_CONF": f"{folder}/strongswan.conf", "SWANCTL_DIR": str(folder)}
        for name in ("conf.d", "x509", "x509ca", "private", "plugins.d"):
            (folder / name).mkdir(parents=True)
        for plugin in _LOAD.split():
            self.write(f"plugins.d/{plugin}.conf", f"{plugin} {{\n    load = yes\n}}\n")

    def write(self, name: str, text: str | bytes) -> None:
        """A file of its configuration folder."""
        (self._folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    async def start(self) -> None:
        """Start it and load everything written so far."""
        self.write("swanctl.conf", "include conf.d/*.conf\n")
        self.write("strongswan.conf", _DAEMON.format(folder=self._folder))
        for program in (str(CHARON), shutil.which("swanctl") or ""):
            shutil.copy2(program, self._folder)
        program = f"{self._folder}/charon"
        await self._network.start(self._namespace, program, log=self._folder / "output", **self._paths)
        await until((self._folder / "vici").exists, "charon takes commands")
        await self.load()

    async def load(self) -> None:
        """Read the configuration again."""
        status, printed = await self._swanctl("--load-all")
        assert status == 0, printed + self.log()

    async def initiate(self) -> tuple[bool, str]:
        """Dial; whether it came about, and what the client said."""
        status, printed = await self._swanctl("--initiate", "--child", "home", "--timeout", "60")
        return status == 0, printed

    async def terminate(self) -> None:
        """Hang up."""
        await self._swanctl("--terminate", "--ike", "home")

    async def idle(self) -> bool:
        """Whether it has no session."""
        return "list-sa event" not in (await self._swanctl("--list-sas", "--raw"))[1]

    def log(self) -> str:
        """What it wrote so far."""
        return "".join(path.read_text() for path in (self._folder / "output", self._folder / "log") if path.exists())

    async def _swanctl(self, *arguments: str) -> tuple[int, str]:
        return await run(f"{self._folder}/swanctl", *arguments, "--uri", f"unix://{self._folder}/vici", **self._paths)


def gateway(network: Network, folder: Path, snippets: Sequence[Snippet], identity: str) -> tuple[Charon, bytes]:
    """A gateway made of our ready-made configuration as it is, and the certificate that its clients must trust."""
    charon = Charon(network, network.gateway_ns, folder)
    places: Mapping[str, str] = {"eap-radius.conf": "plugins.d", "openpns.conf": "conf.d"}
    for snippet in snippets:
        name = Path(snippet.file).name
        if name in places:
            charon.write(f"{places[name]}/{name}", snippet.text)
    certificate, key = self_signed(identity)
    charon.write("x509/gateway.pem", certificate)
    charon.write("private/gateway.pem", key)
    return charon, certificate


def client(network: Network, folder: Path, certificate: bytes) -> Charon:
    """A client that trusts this gateway."""
    charon = Charon(network, network.client_ns, folder)
    charon.write("x509ca/gateway.pem", certificate)
    return charon


def profile(network: Network, identity: str, username: str, password: str, reach: str) -> str:
    """Whom a client dials as whom, and the network behind the gateway that it wants to reach."""
    return _CLIENT.format(server=network.inner, identity=identity, username=username, password=password, network=reach)
