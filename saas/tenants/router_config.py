"""Ready-made configuration of routers, in the language of each vendor's command line. Pure."""

from __future__ import annotations

from saas.i18n import N_
from saas.tenants.config_text import EngineFacts, Snippet
from saas.tenants.nas import Nas


def mikrotik(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    minutes, seconds = divmod(engine.interim_interval, 60)
    commands = f"""\
/system identity set name="{nas["identifier"]}"
/radius add service=ppp address=[:resolve "{engine.host}"] secret="{secret}" \\
    authentication-port={engine.auth_port} accounting-port={engine.acct_port} timeout=3s comment="OpenPNS"
/radius incoming set accept=yes port={nas["coa_port"]}
/ppp aaa set use-radius=yes accounting=yes interim-update={minutes}m{seconds}s
/ppp profile set [find] use-encryption=yes
"""
    return [Snippet(N_("Paste into the terminal of RouterOS"), "RouterOS", commands)]


def cisco(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    commands = f"""\
aaa new-model
aaa group server radius OPENPNS
 server-private {engine.host} auth-port {engine.auth_port} acct-port {engine.acct_port} timeout 3 key {secret}
aaa authentication ppp default group OPENPNS
aaa authorization network default group OPENPNS
aaa accounting network default start-stop group OPENPNS
aaa accounting update periodic {_minutes(engine)}
aaa server radius dynamic-author
 client {engine.host} server-key {secret}
 port {nas["coa_port"]}
radius-server attribute 32 include-in-access-req format {nas["identifier"]}
radius-server attribute 32 include-in-accounting-req format {nas["identifier"]}
radius-server attribute 44 include-in-access-req
"""
    return [Snippet(N_("Paste in configuration mode; a server is named by its address"), "Cisco IOS", commands)]


def h3c(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    """The device calls itself by its system name."""
    commands = f"""\
sysname {nas["identifier"]}
radius scheme openpns
 primary authentication {engine.host} {engine.auth_port} key simple {secret}
 primary accounting {engine.host} {engine.acct_port} key simple {secret}
 user-name-format keep-original
 timer realtime-accounting {_minutes(engine)}
 quit
domain openpns
 authentication ppp radius-scheme openpns
 authorization ppp radius-scheme openpns
 accounting ppp radius-scheme openpns
 quit
domain default enable openpns
radius dynamic-author server
 client ip {engine.host} key simple {secret}
 port {nas["coa_port"]}
 quit
"""
    return [Snippet(N_("Paste in system view; a server is named by its address"), "Comware 7", commands)]


def huawei(nas: Nas, secret: str, engine: EngineFacts) -> list[Snippet]:
    """Two families under one name: what the small ones call a template is a server group on those that are a BRAS."""
    bras = N_("NE and ME series (BRAS): paste in system view instead, and name the domain's ip-pool")
    return [
        Snippet(
            N_("Paste in system view (AR, S and AC series); a server is named by its address"),
            "VRP",
            _huawei_template(nas, secret, engine),
        ),
        Snippet(bras, "VRP 8", _huawei_group(nas, secret, engine)),
        Snippet(N_("NE and ME series: in each interface that subscribers come from"), "VRP 8", _HUAWEI_BAS),
    ]


_HUAWEI_BAS = """\
bas
 access-type layer2-subscriber default-domain authentication openpns
 authentication-method ppp
 quit
commit
"""


def _huawei_template(nas: Nas, secret: str, engine: EngineFacts) -> str:
    """The device calls itself by its system name."""
    return f"""\
sysname {nas["identifier"]}
radius-server template openpns
 radius-server shared-key cipher {secret}
 radius-server authentication {engine.host} {engine.auth_port}
 radius-server accounting {engine.host} {engine.acct_port}
 undo radius-server user-name domain-included
 quit
radius-server authorization {engine.host} shared-key cipher {secret}
aaa
 authentication-scheme openpns
  authentication-mode radius
  quit
 accounting-scheme openpns
  accounting-mode radius
  accounting realtime {_minutes(engine)}
  quit
 domain default
  authentication-scheme openpns
  accounting-scheme openpns
  radius-server openpns
  quit
 quit
"""


def _huawei_group(nas: Nas, secret: str, engine: EngineFacts) -> str:
    """Nothing holds before the commit. The domain is one of our own: default1 has the subscribers of before."""
    return f"""\
sysname {nas["identifier"]}
radius-server group openpns
 radius-server authentication {engine.host} {engine.auth_port}
 radius-server accounting {engine.host} {engine.acct_port}
 radius-server shared-key-cipher {secret}
 radius-server user-name original
 quit
radius-server authorization {engine.host} shared-key-cipher {secret} server-group openpns
aaa
 authentication-scheme openpns
  authentication-mode radius
  quit
 accounting-scheme openpns
  accounting-mode radius
  accounting interim interval {_minutes(engine)}
  quit
 domain openpns
  authentication-scheme openpns
  accounting-scheme openpns
  radius-server group openpns
  quit
 quit
commit
"""


def _minutes(engine: EngineFacts) -> int:
    """The interim interval of devices that know no seconds, at least a minute."""
    return max(1, engine.interim_interval // 60)
