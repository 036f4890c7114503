"""What devices of the world put into their packets, as far as it matters here: a row of data for each.

Sources: the vendors' manuals and dictionaries, the sources of pppd, accel-ppp and strongSwan, and what was seen on the
wire. Client adds User-Name, the proof of the password, NAS-Identifier and Acct-Status-Type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ADDRESS = "10.0.0.9"  # the account's own, which it is given and which it reports
MAC, PEER = "AA-BB-CC-DD-EE-FF", "198.51.100.7"
OTHER_MAC, OTHER_PEER = "aa:bb:cc:dd:ee:00", "198.51.100.8"

Values = Mapping[str, Any]

PPP = {"Service-Type": 2, "Framed-Protocol": 1}
RADIUS, VIRTUAL, ETHERNET, WIRELESS = 1, 5, 15, 19
BASE = {"Framed-IP-Address": [ADDRESS]}


def vsa(vendor: int, *pairs: tuple[int, bytes]) -> bytes:
    """The value of a Vendor-Specific attribute (RFC 2865 section 5.26)."""
    return vendor.to_bytes(4, "big") + b"".join(bytes((number, len(value) + 2)) + value for number, value in pairs)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of device. `always` is in every packet of a session, `reports` in every accounting one beside.

    `fixed`: it is known by its address, since it sends no Message-Authenticator or no NAS-Identifier of ours.
    """

    name: str
    vendor: str
    login: str  # "pap", "chap", "mschapv1", "mschapv2", "eap"
    session_id: str
    always: Values
    reports: Values
    username: str = "carol"
    asks_with_session: bool = False  # Acct-Session-Id is in the Access-Request already
    named: bool = True  # by the identifier that we gave it
    fixed: bool = False
    proves: bool = True  # Message-Authenticator
    echoes: bool = True  # Class
    stamps: bool = False  # Event-Timestamp
    gigawords: bool = True
    packets: bool = True
    cause: int = 1  # Acct-Terminate-Cause; 0 where it tells none
    boots: bool = False  # Accounting-On
    elsewhere: Values = field(default_factory=dict)  # what differs for another subscriber's line
    granted: Values  # attribute -> its values in the Access-Accept, beside those that everybody gets
    shown: Values  # field of the session -> value


_ROUTEROS = {"NAS-IP-Address": "192.168.88.1", "NAS-Port": 15_728_641}
_ROUTEROS_REPORTS = {"Acct-Authentic": RADIUS, "Acct-Delay-Time": 0}
_ROUTEROS_RATE = BASE | {"Mikrotik-Rate-Limit": ["5M/20M"]}
_PPPD = PPP | {"NAS-Port": 3}
_PPPD_REPORTS = {
    "Acct-Authentic": RADIUS,
    "NAS-Port-Type": VIRTUAL,
    "Framed-IP-Address": ADDRESS,
    "Acct-Delay-Time": 0,
}
_PPPD_RATES = BASE | {"PPPD-Upstream-Speed-Limit": [5_000], "PPPD-Downstream-Speed-Limit": [20_000]}

KINDS = [
    Kind(
        name="pptpd: pppd's radius plugin, a Windows client with its domain",
        vendor="pptpd",
        login="mschapv2",
        username="ACME\\carol",
        session_id="6563A1B20F2C00",
        always=_PPPD | {"Calling-Station-Id": PEER},
        reports=_PPPD_REPORTS,
        proves=False,
        gigawords=False,
        elsewhere={"Calling-Station-Id": OTHER_PEER},
        granted=_PPPD_RATES,
        shown={"calling_station_id": PEER, "nas_port": 3, "nas_port_type": "Virtual", "framed_protocol": "PPP"},
    ),
    Kind(
        name="xl2tpd: pppd's radius plugin that was not told the peer",
        vendor="pptpd",
        login="mschapv2",
        session_id="6563A1B30F2D00",
        always=_PPPD,
        reports=_PPPD_REPORTS,
        proves=False,
        gigawords=False,
        cause=2,
        granted=_PPPD_RATES,
        shown={"calling_station_id": "", "terminate_cause": "Lost-Carrier"},
    ),
    Kind(
        name="RouterOS 7, PPPoE",
        vendor="mikrotik",
        login="chap",
        session_id="81100001",
        always=PPP
        | _ROUTEROS
        | {"NAS-Port-Type": ETHERNET, "Calling-Station-Id": "AA:BB:CC:DD:EE:FF", "Called-Station-Id": "home"}
        | {"NAS-Port-Id": "vlan100"},
        reports=_ROUTEROS_REPORTS | {"Framed-IP-Address": ADDRESS},
        asks_with_session=True,
        stamps=True,
        boots=True,
        elsewhere={"Calling-Station-Id": OTHER_MAC},
        granted=_ROUTEROS_RATE,
        shown={"calling_station_id": MAC, "called_station_id": "home", "nas_port_id": "vlan100"},
    ),
    Kind(
        name="RouterOS 6, PPTP, with the domain in an attribute",
        vendor="mikrotik",
        login="mschapv2",
        session_id="81100002",
        always=PPP
        | _ROUTEROS
        | {"NAS-Port-Type": VIRTUAL, "Calling-Station-Id": PEER, "Called-Station-Id": "192.0.2.1"}
        | {"MS-CHAP-Domain": b"ACME"},
        reports=_ROUTEROS_REPORTS | {"Framed-IP-Address": ADDRESS},
        asks_with_session=True,
        proves=False,
        fixed=True,
        stamps=True,
        boots=True,
        elsewhere={"Calling-Station-Id": OTHER_PEER},
        granted=_ROUTEROS_RATE,
        shown={"calling_station_id": PEER, "called_station_id": "192.0.2.1", "nas_port_id": ""},
    ),
    Kind(
        name="RouterOS 7, L2TP",
        vendor="mikrotik",
        login="mschapv1",
        session_id="81100003",
        always=PPP
        | _ROUTEROS
        | {"NAS-Port-Type": VIRTUAL, "Calling-Station-Id": PEER, "Called-Station-Id": "192.0.2.1"},
        reports=_ROUTEROS_REPORTS | {"Framed-IP-Address": ADDRESS, "Tunnel-Client-Endpoint": PEER},
        asks_with_session=True,
        stamps=True,
        boots=True,
        elsewhere={"Calling-Station-Id": OTHER_PEER},
        granted=_ROUTEROS_RATE,
        shown={"calling_station_id": PEER, "tunnel_client": PEER, "nas_port_type": "Virtual"},
    ),
    Kind(
        name="RouterOS 7, hotspot",
        vendor="mikrotik",
        login="chap",
        session_id="80400001",
        always=_ROUTEROS
        | {"NAS-Port-Type": WIRELESS, "Calling-Station-Id": "AA:BB:CC:DD:EE:FF", "Called-Station-Id": "hotspot1"}
        | {"NAS-Port-Id": "wlan1", "Framed-IP-Address": ADDRESS, "Mikrotik-Host-IP": ADDRESS},
        reports={"Acct-Delay-Time": 0},
        asks_with_session=True,
        cause=4,
        stamps=True,
        boots=True,
        elsewhere={"Calling-Station-Id": OTHER_MAC},
        granted=_ROUTEROS_RATE,
        shown={"calling_station_id": MAC, "service_type": "", "nas_port_type": "Wireless-802.11"},
    ),
    Kind(
        name="Cisco IOS, PPPoE",
        vendor="cisco",
        login="chap",
        session_id="0000001A",
        always=PPP
        | {"NAS-IP-Address": "192.0.2.2", "NAS-Port-Type": VIRTUAL, "NAS-Port": 0, "NAS-Port-Id": "0/0/1/100"}
        | {"Cisco-AVPair": "client-mac-address=aabb.ccdd.eeff"},
        reports={"Acct-Authentic": RADIUS, "Acct-Delay-Time": 0, "Framed-IP-Address": ADDRESS}
        | {"Connect-Info": "PPPoE", "Vendor-Specific": vsa(9, (1, b"connect-progress=Call Up"))},
        proves=False,
        named=False,
        fixed=True,
        boots=True,
        elsewhere={"Cisco-AVPair": "client-mac-address=aabb.ccdd.ee00"},
        granted=BASE
        | {
            "Cisco-AVPair": [
                "lcp:interface-config#1=rate-limit input 5000000 937500 1875000"
                " conform-action transmit exceed-action drop",
                "lcp:interface-config#2=rate-limit output 20000000 3750000 7500000"
                " conform-action transmit exceed-action drop",
            ]
        },
        shown={"calling_station_id": MAC, "nas_port_id": "0/0/1/100", "connect_info": "PPPoE"},
    ),
    Kind(
        name="Huawei BRAS, PPPoE in two VLANs",
        vendor="huawei",
        login="pap",
        session_id="ME60-1010200000000100c8d4a1f000001",
        always=PPP
        | {"NAS-IP-Address": "192.0.2.3", "NAS-Port": 16_785_608, "NAS-Port-Type": ETHERNET}
        | {"NAS-Port-Id": "slot=1;subslot=0;port=2;vlanid=100;vlanid2=200", "Calling-Station-Id": "aabb-ccdd-eeff"}
        | {"Vendor-Specific": vsa(2011, (26, bytes((0, 0, 0, 22))), (59, bytes(4)), (255, b"ME60"))},
        reports={"Acct-Authentic": RADIUS, "Acct-Delay-Time": 0, "Framed-IP-Address": ADDRESS},
        asks_with_session=True,
        proves=False,
        named=False,
        fixed=True,
        boots=True,
        elsewhere={"Calling-Station-Id": "aabb-ccdd-ee00"},
        granted=BASE
        | {"Huawei-Input-Average-Rate": [5_000_000], "Huawei-Input-Peak-Rate": [5_000_000]}
        | {"Huawei-Output-Average-Rate": [20_000_000], "Huawei-Output-Peak-Rate": [20_000_000]},
        shown={"calling_station_id": MAC, "nas_port_id": "slot=1;subslot=0;port=2;vlanid=100;vlanid2=200"},
    ),
    Kind(
        name="accel-ppp, PPPoE",
        vendor="accel-ppp",
        login="mschapv2",
        session_id="4d469f0130004acd",
        always=PPP
        | {"NAS-Port": 1, "NAS-Port-Id": "ppp1", "NAS-Port-Type": VIRTUAL}
        | {"Calling-Station-Id": "aa:bb:cc:dd:ee:ff", "Called-Station-Id": "4a:79:d4:82:6e:5b"},
        reports={"Acct-Authentic": RADIUS, "Framed-IP-Address": ADDRESS},
        proves=False,
        fixed=True,
        elsewhere={"Calling-Station-Id": OTHER_MAC},
        granted=BASE | {"Filter-Id": ["20000/5000"]},
        shown={"calling_station_id": MAC, "called_station_id": "4a:79:d4:82:6e:5b", "nas_port_id": "ppp1"},
    ),
    Kind(
        name="strongSwan, IKEv2",
        vendor="strongswan",
        login="eap",
        session_id="1700000000-1",
        always={"Service-Type": 2, "NAS-Port-Type": VIRTUAL, "NAS-Port": 1, "NAS-Port-Id": "openpns"}
        | {"NAS-IP-Address": "192.0.2.4"}
        | {"Called-Station-Id": "192.0.2.4[4500]", "Calling-Station-Id": f"{PEER}[4500]"},
        reports={"Framed-IP-Address": ADDRESS},
        cause=5,
        elsewhere={"Calling-Station-Id": f"{OTHER_PEER}[4500]"},
        granted=BASE,
        shown={"calling_station_id": f"{PEER}[4500]", "terminate_cause": "Session-Timeout"},
    ),
    Kind(
        name="OpenVPN with openvpn-auth-radius",
        vendor="openvpn",
        login="pap",
        session_id="080C623AC0380ADBD06940105CC90761",
        always={"NAS-IP-Address": "127.0.0.1", "NAS-Port": 1, "Service-Type": 5, "NAS-Port-Type": VIRTUAL}
        | {"Calling-Station-Id": f"::ffff:{PEER}"},
        reports={"Framed-Protocol": 1, "Framed-IP-Address": ADDRESS},
        asks_with_session=True,
        proves=False,
        echoes=False,
        packets=False,
        cause=0,
        elsewhere={"Calling-Station-Id": f"::ffff:{OTHER_PEER}"},
        granted=BASE,
        shown={"calling_station_id": PEER, "service_type": "Outbound", "terminate_cause": ""},
    ),
]
