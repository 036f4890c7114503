"""Ready-made configuration: what an operator pastes on a device so that it talks to this service. Pure."""

from __future__ import annotations

from collections.abc import Callable

from saas.i18n import N_
from saas.tenants import router_config
from saas.tenants.config_text import EngineFacts, Snippet
from saas.tenants.nas import Nas

_WIDE_PORT = 9999

_IKEV2 = """\
connections {{
    openpns {{
        version = 2
        unique = never
        send_cert = always
        dpd_delay = 30s
        pools = radius, openpns
        local {{
            auth = pubkey
            certs = gateway.pem
            id = {name}
        }}
        remote {{
            auth = eap-radius
            eap_id = %any
        }}
        children {{
            openpns {{
                local_ts = 0.0.0.0/0
                dpd_action = clear
            }}
        }}
    }}
}}
pools {{
    openpns {{
        addrs = 10.10.10.0/24
        dns = 223.5.5.5, 1.1.1.1
    }}
}}
"""

# The plugin reads from this text where to leave a user's fixed address, and where octets are counted. Which session may
# begin is for RADIUS to decide: `duplicate-cn`. At a renegotiation the plugin leaves the user's pool address as if it
# were a fixed one, so what it left is removed with the session, and at the start.
_OPENVPN = """\
port 1194
proto udp
dev tun
ca /etc/openvpn/ca.crt
cert /etc/openvpn/server.crt
key /etc/openvpn/server.key
dh none
topology subnet
server 10.8.0.0 255.255.0.0 nopool
ifconfig-pool 10.8.128.1 10.8.255.254 255.255.0.0
push "redirect-gateway def1"
push "dhcp-option DNS 223.5.5.5"
push "dhcp-option DNS 1.1.1.1"
keepalive 10 60
explicit-exit-notify 1
verify-client-cert none
username-as-common-name
duplicate-cn
status /run/openvpn/radius.status 1
client-config-dir /etc/openvpn/radius
plugin /usr/lib/openvpn/radiusplugin.so /etc/openvpn/radiusplugin.cnf
script-security 2
up "/bin/sh -c 'rm -f /etc/openvpn/radius/*'"
client-disconnect "/bin/sh -c 'rm -f \\"/etc/openvpn/radius/$common_name\\"'"
"""


def render(vendor: str, nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    """The blocks for a device type, in the order they are pasted."""
    return _RENDER.get(vendor, _standard)(nas, secret, engine)


def warnings(vendor: str, engine: EngineFacts) -> list[str]:
    """What would not work as configured, as message ids."""
    if vendor == "openvpn" and max(engine.auth_port, engine.acct_port) > _WIDE_PORT:
        return [N_("The OpenVPN plugin cuts ports to four digits: it needs an engine with ports up to 9999.")]
    return []


def _openvpn(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    """With `useauthcontrolfile` a login that waits for its answer holds up no one else's traffic; `wait` is longer than
    a reject takes.
    """
    plugin = f"""\
NAS-Identifier={nas["identifier"]}
Service-Type=5
Framed-Protocol=1
NAS-Port-Type=5
NAS-IP-Address=127.0.0.1
OpenVPNConfig=/etc/openvpn/server.conf
subnet=255.255.0.0
overwriteccfiles=true
useauthcontrolfile=true

server
{{
    name={engine.host}
    authport={engine.auth_port}
    acctport={engine.acct_port}
    sharedsecret={secret}
    retry=2
    wait=2
}}
"""
    install = """\
apt-get install openvpn openvpn-auth-radius
mkdir -p /etc/openvpn/radius
cp ca.crt server.crt server.key /etc/openvpn/
chmod 600 /etc/openvpn/radiusplugin.cnf /etc/openvpn/server.key
systemctl enable openvpn@server
systemctl restart openvpn@server
"""
    client = f"""\
client
dev tun
proto udp
remote {_reached(nas)} 1194
nobind
ca ca.crt
remote-cert-tls server
auth-user-pass
explicit-exit-notify 1
"""
    return [
        Snippet(N_("Settings of the RADIUS plugin"), "/etc/openvpn/radiusplugin.cnf", plugin),
        Snippet(N_("The OpenVPN server"), "/etc/openvpn/server.conf", _OPENVPN),
        Snippet(N_("Install both, with the gateway's certificate, and restart"), "shell", install),
        Snippet(N_("For your customers, together with ca.crt"), "client.ovpn", client),
    ]


def _reached(nas: Nas) -> str:
    """By what name subscribers reach the device."""
    return nas["ddns"] or nas["address"] or "vpn.example.com"


def _pppd(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    client = f"""\
auth_order radius
login_tries 4
login_timeout 60
nologin /etc/nologin
issue /etc/issue
authserver {engine.host}:{engine.auth_port}
acctserver {engine.host}:{engine.acct_port}
servers /etc/radiusclient/servers
dictionary /etc/radiusclient/dictionary
login_radius /usr/sbin/login.radius
seqfile /run/radius.seq
mapfile /etc/radiusclient/port-id-map
default_realm
radius_timeout 5
radius_retries 3
nas_identifier {nas["identifier"]}
"""
    servers = f"{engine.host} {secret}\n"
    pptpd = """\
name pptpd
refuse-pap
refuse-chap
refuse-mschap
require-mschap-v2
require-mppe-128
plugin radius.so
plugin radattr.so
radius-config-file /etc/radiusclient/radiusclient.conf
"""
    xl2tpd = """\
name xl2tpd
refuse-pap
require-mschap-v2
noccp
plugin radius.so
plugin radattr.so
radius-config-file /etc/radiusclient/radiusclient.conf
"""
    return [
        Snippet(N_("RADIUS client of pppd"), "/etc/radiusclient/radiusclient.conf", client),
        Snippet(N_("Shared secret (readable by root only)"), "/etc/radiusclient/servers", servers),
        Snippet(N_("PPTP: options of pptpd"), "/etc/ppp/pptpd-options", pptpd),
        Snippet(N_("L2TP: options of xl2tpd"), "/etc/ppp/options.xl2tpd", xl2tpd),
    ]


def _strongswan(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    """`load = 2` puts the plugin before the pool, so that an account's own address wins. Which session may begin is
    for RADIUS to decide: `unique = never`.
    """
    plugin = f"""\
eap-radius {{
    load = 2
    accounting = yes
    accounting_send_class = yes
    accounting_close_on_timeout = no
    station_id_with_port = no
    nas_identifier = "{nas["identifier"]}"
    servers {{
        openpns {{
            address = {engine.host}
            auth_port = {engine.auth_port}
            acct_port = {engine.acct_port}
            secret = "{secret}"
        }}
    }}
    dae {{
        enable = yes
        port = {nas["coa_port"]}
        secret = "{secret}"
    }}
}}
"""
    server = _IKEV2.format(name=_reached(nas))
    install = """\
apt-get install charon-systemd strongswan-swanctl libcharon-extra-plugins
chmod 600 /etc/strongswan.d/charon/eap-radius.conf
cp fullchain.pem /etc/swanctl/x509/gateway.pem
cp privkey.pem /etc/swanctl/private/gateway.pem
systemctl restart strongswan
"""
    return [
        Snippet(N_("Settings of the RADIUS plugin"), "/etc/strongswan.d/charon/eap-radius.conf", plugin),
        Snippet(N_("IKEv2 for phones and computers"), "/etc/swanctl/conf.d/openpns.conf", server),
        Snippet(N_("Install it, with the certificate of the name above, and restart"), "shell", install),
    ]


def _accel(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    """Its shaper reads Filter-Id as down/up in kbit/s, which is what it is sent (saas.radius.vendors)."""
    settings = f"""\
[modules]
radius
shaper

[radius]
nas-identifier={nas["identifier"]}
server={engine.host},{secret},auth-port={engine.auth_port},acct-port={engine.acct_port},req-limit=50,fail-timeout=0
dae-server=0.0.0.0:{nas["coa_port"]},{secret}
acct-interim-interval={engine.interim_interval}
timeout=3
max-try=3

[shaper]
attr=Filter-Id
"""
    return [Snippet(N_("Add to the sections of the same names"), "/etc/accel-ppp.conf", settings)]


def _standard(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    facts = f"""\
RADIUS server:            {engine.host}
Authentication port:      {engine.auth_port}
Accounting port:          {engine.acct_port}
RadSec port (TLS):        {engine.radsec_port or "-"}
Shared secret:            {secret}
NAS-Identifier:           {nas["identifier"]}
Interim update interval:  {engine.interim_interval}
CoA / Disconnect port:    {nas["coa_port"]}
"""
    return [Snippet(N_("What every RADIUS client asks for"), "RADIUS", facts)]


def ready(vendor: str) -> list[str]:
    """The device types that there is a text for, the device's own first."""
    own = vendor if vendor in _RENDER else "standard"
    return [own, *(each for each in _RENDER if each != own and _RENDER[each] is not _RENDER[own])]


_RENDER: dict[str, Callable[[Nas, str, EngineFacts], list[Snippet]]] = {
    "openvpn": _openvpn,
    "strongswan": _strongswan,
    "pptpd": _pppd,
    "mikrotik": router_config.mikrotik,
    "accel-ppp": _accel,
    "cisco": router_config.cisco,
    "cisco-isg": router_config.cisco,
    "huawei": router_config.huawei,
    "h3c": router_config.h3c,
    "standard": _standard,
}
