"""Ready-made configuration for RADIUS over TLS, and the files of a certificate that it names. Pure."""

from __future__ import annotations

from saas.i18n import N_
from saas.tenants.certificates import Bundle
from saas.tenants.config_text import EngineFacts, Snippet
from saas.tenants.nas import Nas

FOLDER = "/etc/radsecproxy"
KEY, CERTIFICATE, AUTHORITY = "device.key", "device.crt", "server-ca.crt"


def files(bundle: Bundle, server_authority: str) -> dict[str, str]:
    """What a device needs of a certificate, by file name."""
    return {KEY: bundle.key, CERTIFICATE: bundle.certificate, AUTHORITY: server_authority}


def radsecproxy(nas: Nas, engine: EngineFacts) -> list[Snippet]:
    """For a gateway that speaks RADIUS over UDP only: radsecproxy beside it."""
    install = f"""\
apt-get install radsecproxy
install -d -o radsecproxy -m 700 {FOLDER}
install -o radsecproxy -m 600 {KEY} {CERTIFICATE} {AUTHORITY} {FOLDER}/
"""
    settings = f"""\
ListenUDP 127.0.0.1:1812
ListenUDP 127.0.0.1:1813

client gateway {{
    host    127.0.0.1
    type    udp
    secret  local-secret
}}

tls openpns {{
    CACertificateFile   {FOLDER}/{AUTHORITY}
    CertificateFile     {FOLDER}/{CERTIFICATE}
    CertificateKeyFile  {FOLDER}/{KEY}
}}

server openpns {{
    host          {_bracketed(engine.host)}
    port          {engine.radsec_port}
    type          tls
    tls           openpns
    secret        radsec
    StatusServer  on
}}

realm * {{
    server            openpns
    accountingServer  openpns
}}
"""
    return [
        Snippet(N_("Install radsecproxy beside the gateway, and put the files there"), "shell", install),
        Snippet(N_("The gateway asks 127.0.0.1, secret local-secret"), "/etc/radsecproxy.conf", settings),
        Snippet(N_("Start it"), "shell", "systemctl restart radsecproxy\n"),
    ]


def routeros(nas: Nas, engine: EngineFacts) -> list[Snippet]:
    """For RouterOS 7, which speaks RADIUS over TLS itself."""
    minutes, seconds = divmod(engine.interim_interval, 60)
    commands = f"""\
/certificate import file-name={AUTHORITY} name=openpns-server passphrase=""
/certificate import file-name={CERTIFICATE} name=openpns-device passphrase=""
/certificate import file-name={KEY} name=openpns-device passphrase=""
/system identity set name="{nas["identifier"]}"
/radius add service=ppp protocol=radsec address=[:resolve "{engine.host}"] secret="radsec" \\
    certificate=openpns-device authentication-port={engine.radsec_port} accounting-port={engine.radsec_port} \\
    timeout=5s comment="OpenPNS RadSec"
/radius incoming set accept=yes
/ppp aaa set use-radius=yes accounting=yes interim-update={minutes}m{seconds}s
"""
    return [
        Snippet(N_("Upload the three files (Files), then paste into the terminal of RouterOS"), "RouterOS", commands)
    ]


def facts(nas: Nas, engine: EngineFacts) -> list[Snippet]:
    """For any other RadSec client."""
    text = f"""\
RadSec server:         {engine.host}
Port (TCP, TLS):       {engine.radsec_port}
Shared secret:         radsec
Client certificate:    {CERTIFICATE}, {KEY}
Server's authority:    {AUTHORITY}
TLS:                   1.2 or 1.3
"""
    return [Snippet(N_("What every RadSec client asks for"), "RadSec", text)]


# key of the tab, its title, what is pasted
KINDS = (
    ("radsecproxy", "radsecproxy", radsecproxy),
    ("routeros", N_("MikroTik RouterOS"), routeros),
    ("any", N_("Other"), facts),
)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
