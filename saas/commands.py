"""The command `openpns`: reads settings, opens the stores, hands them to what the command is for. No logic.

What one command alone needs is imported by it: an engine is up in half the time without the consoles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, NoReturn

import uvloop

from saas import __version__, config, hugepages, tasks
from saas.config import ConfigError, Settings
from saas.embedded import StoresError, stores
from saas.errors import Taken, Unavailable
from saas.kv import Kv
from saas.migrations import migrate
from saas.outbound import Mailer
from saas.security import Keys
from saas.store import Store
from saas.tenants import platform, pools
from saas.tenants.pools import Ports, Service
from saas.tenants.scope import PlatformScope, Services, platform_scope

log = logging.getLogger("openpns")


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, prepared: bool = False) -> AsyncIterator[PlatformScope]:
    """The platform's scope over the stores of the settings, indexes made and migrations done.

    `prepared`: the process that started this one has seen to that.
    """
    async with stores(settings) as urls:
        store = await Store.open(urls.mongo_url)
        kv = await Kv.open(urls.redis_url)
        slots = kv if urls.slots_url == urls.redis_url else await Kv.open(urls.slots_url)
        mailer = Mailer(settings.smtp_url or "", settings.mail_from, settings.data_dir / "mail")
        ps = platform_scope(Services(store, kv, Keys(settings.secret_key), mailer, slots))
        try:
            if not prepared:
                await _prepare(ps, settings)
            yield ps
        finally:
            await kv.close()
            await slots.close()
            store.close()


async def _prepare(ps: PlatformScope, settings: Settings) -> None:
    await ps.services.store.prepare()
    for name in await migrate(ps):
        log.info("migration %s is done", name)
    await pools.ensure_shared(ps, shared_ports(settings))


def stopping() -> asyncio.Event:
    """Set by SIGTERM or Ctrl-C."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event


@contextlib.contextmanager
def bound(*ports: int) -> Iterator[None]:
    """A port that cannot be had is a matter of the settings."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        which = " or ".join(str(port) for port in ports)
        raise ConfigError(f"Port {which} cannot be listened on: {error.strerror}.") from None


async def web(settings: Settings, args: argparse.Namespace) -> int:
    """Serve the consoles."""
    from saas.handlers.app import make_app, serve

    stop = stopping()
    async with opened(settings) as ps:
        app = make_app(ps.services, secure=settings.production)
        with bound(settings.http_port):
            server = serve(app, settings.bind, settings.http_port, proxies=["127.0.0.1", "::1"])
        log.info("web listens on %s port %d", settings.bind, settings.http_port)
        await stop.wait()
        server.stop()
        await server.close_all_connections()
    return 0


async def radius(settings: Settings, args: argparse.Namespace) -> int:
    """Serve the engine pools of this host with worker processes."""
    from saas.radius.supervisor import Supervisor, Where

    stop = stopping()
    where = Where((args.host or socket.gethostname()).lower(), settings.bind, args.pool, args.workers)
    async with opened(settings) as ps:
        try:
            await pools.ensure_shared(ps, shared_ports(settings), follow=args.pool in ("", platform.SHARED_POOL))
        except Taken as taken:
            raise ConfigError(f"OPENPNS_{taken.field.upper()}: another pool has this port already.") from None
        await Supervisor(ps, where, worker_command, settings.environment()).run(stop)
    return 0


def shared_ports(settings: Settings) -> Ports:
    """The ports of the shared pool are those of the settings."""
    return Ports(settings.auth_port, settings.acct_port, settings.radsec_port)


def worker_command(service: Service) -> list[str]:
    """How a worker is started."""
    ports = zip(("--auth-port", "--acct-port", "--radsec-port"), map(str, service.ports), strict=True)
    words = ["worker", "--pool", service.pool, "--kind", service.kind, *(word for pair in ports for word in pair)]
    return [sys.executable, "-m", "saas", *words]


async def worker(settings: Settings, args: argparse.Namespace) -> int:
    """One worker of a pool; `openpns radius` starts it."""
    from saas.radius import supervisor
    from saas.radius.engine import Engine, EngineSettings

    stop = stopping()
    supervisor.watch_parent(stop)
    where = EngineSettings(
        pool=args.pool,
        bind=settings.bind,
        auth_port=args.auth_port or settings.auth_port,
        acct_port=args.acct_port or settings.acct_port,
        radsec_port=(args.radsec_port if args.auth_port else settings.radsec_port) or None,
        public_host=settings.public_host,
        dedicated=args.kind == "dedicated",
        tenant_rate=settings.tenant_rate,
        cached_accounts=settings.cached_accounts,
    )
    async with opened(settings, prepared=True) as ps, Engine(ps, where), _settled(50_000):
        await stop.wait()
    return 0


async def jobs(settings: Settings, args: argparse.Namespace) -> int:
    """Do what time brings."""
    from saas.jobs import runner

    stop = stopping()
    async with opened(settings) as ps, _settled(500_000):
        await runner.run(ps, stop)
    return 0


@contextlib.asynccontextmanager
async def _settled(many: int) -> AsyncIterator[None]:
    """Manage memory as befits a process that knows much by heart: in huge pages (hugepages.py), and looking for
    unreachable cycles only when so many objects have come that Python counts.

    Neither the path of packets nor that of their records makes any cycle, and what is remembered for minutes would be
    looked through again and again: that took half of the time of a packet. In an engine the objects that come and stay
    are accounts; everything waits while they are looked through, so there it is done in small portions. The job does
    nothing else while it applies a portion of events, which are as many objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(many, 100, 1000)
    pages = asyncio.create_task(hugepages.keep())
    try:
        yield
    finally:
        await tasks.end([pages])


async def init(settings: Settings, args: argparse.Namespace) -> int:
    """Indexes, migrations, the first platform owner."""
    async with opened(settings) as ps:
        password = await platform.first_owner(ps, args.email)
    if password:
        print(f"Platform owner {args.email}, password {password} (shown this once)")
    else:
        print("Indexes and migrations are done; there is a platform owner already.")
    return 0


async def unlock(settings: Settings, args: argparse.Namespace) -> int:
    """Take a cloud account's second factor away, for a platform owner who has lost app and recovery codes."""
    from saas.tenants import factors

    async with opened(settings) as ps:
        account = await ps.db.cloud_accounts.one({"email": args.email.lower()})
        if account is None or await factors.get(ps, account["_id"]) is None:
            raise ConfigError(f"There is no cloud account {args.email} with a second factor.")
        await factors.reset_owner(ps, account["_id"])
    print(f"{args.email} logs in with the password alone now.")
    return 0


async def demo(settings: Settings, args: argparse.Namespace) -> int:
    """The demo tenant, or a dataset to measure with."""
    from saas.tenants import demo as demo_data

    async with opened(settings) as ps:
        if args.tenants:
            size = demo_data.Dataset(args.tenants, args.nas or args.tenants, args.accounts, args.concurrency)
            await demo_data.fill(ps, size)
            print(f"{size.tenants} tenants, {size.nas} devices, {size.accounts} accounts in each tenant")
        else:
            await demo_data.demo_tenant(ps)
            print(f"Tenant {demo_data.SLUG}: log in with {demo_data.EMAIL} and {demo_data.PASSWORD}")
    return 0


async def verify(settings: Settings, args: argparse.Namespace) -> int:
    """List every broken invariant."""
    from saas.tenants.verify import verify as broken

    count = 0
    async with opened(settings) as ps:
        async for sentence in broken(ps):
            print(sentence)
            count += 1
    print(f"{count} broken invariants" if count else "Every invariant holds.")
    return 1 if count else 0


async def run(settings: Settings, args: argparse.Namespace) -> int:
    """Everything, for a first look."""
    from saas import launch
    from saas.tenants import demo as demo_data

    if settings.production:
        raise ConfigError("openpns run makes a demo tenant; in production start the Procfile's processes instead.")
    async with opened(settings) as ps:
        password = await platform.first_owner(ps, platform.FIRST_OWNER, launch.PLATFORM_PASSWORD)
        if not password:
            log.info("found the data of an earlier start in %s", settings.data_dir)
        await demo_data.demo_tenant(ps)
        return launch.processes(settings)


async def hello(settings: Settings, args: argparse.Namespace) -> int:
    """One real log-in against the running service, then its addresses."""
    from saas import launch

    stop = stopping()
    async with opened(settings) as ps:
        told = await launch.hello(ps, settings)
        if told and args.stay:
            await stop.wait()
    return 0 if told else 1


Command = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openpns", description="VPN and broadband access as a service.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(command: Command) -> argparse.ArgumentParser:
        found = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        found.set_defaults(run=command)
        return found

    for plain in (web, jobs, verify, run):
        add(plain)
    pools = add(radius)
    pools.add_argument("--pool", default="", help="serve this engine pool only; by default all of this host")
    pools.add_argument("--workers", type=_count, default=0, help="worker processes, in place of what the pools say")
    pools.add_argument("--host", default="", help="the label by which pools name this host; by default its name")
    one = add(worker)
    one.add_argument("--pool", default=platform.SHARED_POOL)
    one.add_argument("--kind", default="shared")
    for kind in ("auth", "acct", "radsec"):
        one.add_argument(f"--{kind}-port", type=_count, default=0)
    first = add(init)
    first.add_argument("--email", default=platform.FIRST_OWNER, help="the first platform owner's mail address")
    add(unlock).add_argument("email", help="the cloud account's mail address")
    data = add(demo)
    for name, text in (
        ("tenants", "how many tenants t0000…; without it the demo tenant is made"),
        ("nas", "how many devices nas-0000… in all; by default one for each tenant"),
        ("accounts", "how many accounts u000000… in each tenant"),
        ("concurrency", "sessions at a time for each account; 0 is without limit"),
    ):
        data.add_argument(f"--{name}", type=_count, default=0, help=text)
    greet = add(hello)
    greet.add_argument("--stay", action="store_true", help="then wait until ended")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > 10_000_000:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def main() -> None:
    """Run one command; its exit status is the process's."""
    args = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        # the engine handles several times the datagrams on uvloop
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if args.command == "worker" else None) as loop:
            sys.exit(loop.run(args.run(config.load(), args)))
    except (ConfigError, StoresError) as error:
        _fail(str(error))
    except Unavailable as error:
        _fail(f"The {error.data.get('store', 'store')} server does not answer.")
    except OSError as error:
        _fail(f"{error.strerror or error}.")


def _fail(sentence: str) -> NoReturn:
    """Exit status 2: the command could not do its work. 1 is what `verify` answers when something is broken."""
    print(f"openpns: {sentence}", file=sys.stderr)
    sys.exit(2)
