"""The peers: Debian's FreeRADIUS at its best with a users file, and with accounting in Debian's PostgreSQL.

Lean sites, so that FreeRADIUS does nothing that it need not do; both its modes, threaded and `-s`, of which the faster
one is the peer. The database is a cluster of its own, with fsync, and with the schema and the queries of the package.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.processes import Process, Refused, below, tool
from tests.support import free_ports

STOCK = Path("/etc/freeradius/3.0")
POSTGRES = Path("/usr/lib/postgresql")
SECRET = "secret-0000"

_BASE = """
prefix = /usr
sysconfdir = /etc
localstatedir = {folder}
logdir = {folder}
raddbdir = {folder}
run_dir = {folder}
libdir = /usr/lib/freeradius
modconfdir = {stock}/mods-config
correct_escapes = true
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
hostname_lookups = no
log {{
    destination = stdout
    auth = no
}}
security {{
    max_attributes = 200
    reject_delay = 1
    status_server = yes
}}
proxy_requests = no
thread pool {{
    start_servers = 5
    max_servers = 32
    min_spare_servers = 3
    max_spare_servers = 10
    max_requests_per_server = 0
}}
client bench {{
    ipaddr = 127.0.0.1
    secret = {secret}
}}
"""

_FILES = """
modules {{
    pap {{
    }}
    chap {{
    }}
    files {{
        usersfile = {folder}/people
    }}
}}
server bench {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {auth}
        recv_buff = 8388608
    }}
    authorize {{
        chap
        files
        pap
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
        }}
        Auth-Type CHAP {{
            chap
        }}
    }}
}}
"""

_SQL = """
modules {{
    expr {{
    }}
    sql {{
        dialect = "postgresql"
        driver = "rlm_sql_postgresql"
        radius_db = "host={database} dbname=radius user=radius"
        acct_table1 = "radacct"
        acct_table2 = "radacct"
        postauth_table = "radpostauth"
        authcheck_table = "radcheck"
        groupcheck_table = "radgroupcheck"
        authreply_table = "radreply"
        groupreply_table = "radgroupreply"
        usergroup_table = "radusergroup"
        client_table = "nas"
        read_groups = no
        read_profiles = no
        delete_stale_sessions = yes
        group_attribute = "SQL-Group"
        pool {{
            start = 5
            min = 3
            max = 32
            spare = 10
            uses = 0
            retry_delay = 30
            lifetime = 0
            idle_timeout = 60
        }}
        $INCLUDE {stock}/mods-config/sql/main/postgresql/queries.conf
    }}
}}
policy {{
    $INCLUDE {stock}/policy.d/accounting
}}
server bench {{
    listen {{
        type = acct
        ipaddr = 127.0.0.1
        port = {acct}
        recv_buff = 8388608
    }}
    preacct {{
        acct_unique
    }}
    accounting {{
        sql
    }}
}}
"""

# A server of this size would be given a quarter of its memory; checkpoints far apart keep them out of the rounds.
_TUNING = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "wal_buffers": "64MB",
    "random_page_cost": "1.1",
}


class FreeRadius:
    """A radiusd in a folder; `single` runs it without threads."""

    def __init__(self, folder: Path, text: str, values: Mapping[str, object], *, single: bool) -> None:
        folder.mkdir(mode=0o755, exist_ok=True)
        self.name = "FreeRADIUS -s" if single else "FreeRADIUS threaded"
        self.auth, self.acct = free_ports(2)
        facts = {**values, "folder": folder, "stock": STOCK, "secret": SECRET, "auth": self.auth, "acct": self.acct}
        (folder / "radiusd.conf").write_text((_BASE + text).format(**facts))
        (folder / "dictionary").write_text("")
        command = [tool("freeradius", "freeradius"), "-d", str(folder), "-n", "radiusd", "-l", "stdout"]
        huge = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # its users too lie in huge pages: at its best
        self._process = Process([*command, "-s" if single else "-f"], folder / "freeradius.log", environment=huge)
        self._process.ready(lambda: "Ready to process requests" in self._process.log.read_text(errors="replace"))

    def roles(self) -> dict[str, Sequence[int]]:
        """Its processes."""
        return {"freeradius": [self._process.pid]}

    def end(self) -> None:
        """Stop it."""
        self._process.end()


def with_users(folder: Path, users: int, *, single: bool) -> FreeRadius:
    """FreeRADIUS over a users file of u000000… with p000000…; the file decides nothing but the password."""
    folder.mkdir(mode=0o755, exist_ok=True)
    lines = (f'u{number:06d} Cleartext-Password := "p{number:06d}"\n' for number in range(users))
    (folder / "people").write_text("".join(lines))
    return FreeRadius(folder, _FILES, {}, single=single)


def with_sql(folder: Path, database: Postgres, *, single: bool) -> FreeRadius:
    """FreeRADIUS that keeps sessions in PostgreSQL, by the package's queries."""
    if not os.access(STOCK / "mods-config/sql/main/postgresql/queries.conf", os.R_OK):
        raise Refused(f"{STOCK} cannot be read; run the bench as root or as a member of the group freerad.")
    return FreeRadius(folder, _SQL, {"database": database.folder}, single=single)


class Postgres:
    """A cluster of its own in a folder, reached by a socket in it; it holds the database of FreeRADIUS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # PostgreSQL refuses to run as root
        self._user = "postgres" if os.getuid() == 0 else None
        folder.mkdir(mode=0o755)
        if self._user:
            shutil.chown(folder, self._user)
        versions = sorted(POSTGRES.glob("*/bin"), key=lambda path: int(path.parent.name))
        self._programs = [str(path) for path in reversed(versions)]
        owner = self._user or getpass.getuser()
        data = folder / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-E", "UTF8", "-U", owner, "--no-sync")
        settings = [word for name, value in _TUNING.items() for word in ("-c", f"{name}={value}")]
        command = [self._program("postgres"), "-D", str(data), "-k", str(folder), *settings]
        self._process = Process(command, folder.parent / "postgres.log", user=self._user)
        try:
            self._process.ready(lambda: "ready to accept connections" in self._process.log.read_text(errors="replace"))
            self.query("CREATE ROLE radius LOGIN", "postgres")
            self.query("CREATE DATABASE radius OWNER radius", "postgres")
            schema = (STOCK / "mods-config/sql/main/postgresql/schema.sql").read_text()
            self._run("psql", *self._psql("radius", "radius"), given=schema)
        except BaseException:
            self.end()
            raise

    def query(self, text: str, database: str = "radius") -> str:
        """What a query answers, without ornaments."""
        return self._run("psql", *self._psql(database, self._user or getpass.getuser()), "-Atc", text).strip()

    def roles(self) -> dict[str, Sequence[int]]:
        """Its processes; backends come and go."""
        return {"postgresql": below(self._process.pid)}

    def end(self) -> None:
        """Stop it."""
        self._process.end()

    def _psql(self, database: str, user: str) -> list[str]:
        return ["-q", "-h", str(self.folder), "-U", user, "-d", database, "-v", "ON_ERROR_STOP=1"]

    def _program(self, name: str) -> str:
        return tool(name, "postgresql", *self._programs)

    def _run(self, name: str, *words: str, given: str = "") -> str:
        done = subprocess.run(
            [self._program(name), *words], input=given, capture_output=True, text=True, user=self._user, cwd="/"
        )
        if done.returncode:
            raise Refused(f"{name}: {done.stderr.strip()[-500:]}")
        return done.stdout
