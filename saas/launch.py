"""`openpns run`: the Procfile's processes in the foreground, and the proof that they work."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager

from saas.config import Settings
from saas.radius.client import Client, NoAnswer
from saas.tenants import demo, engines
from saas.tenants.platform import FIRST_OWNER
from saas.tenants.scope import PlatformScope

PLATFORM_PASSWORD = "platform-password"  # for the first look only: `openpns init` makes a random one
_ROOT = Path(__file__).resolve().parents[1]
_WAIT = 60.0  # seconds for the processes to come up


def processes(settings: Settings) -> int:
    """Run the Procfile until Ctrl-C or until one of its processes ends; every one is ended then. The exit status."""
    manager = Manager()
    environment = settings.environment() | {"PYTHONUNBUFFERED": "1"}
    commands = dict(parse_procfile((_ROOT / "Procfile").read_text()).processes)
    for name, command in {**commands, "ready": "openpns hello --stay"}.items():
        program = command.replace("openpns", str(_ROOT / ".venv" / "bin" / "openpns"), 1)
        manager.add_process(name, f"exec {program}", env=environment, cwd=str(_ROOT))
    manager.loop()
    return 0 if manager.returncode in (0, 130, 143) else 1


async def hello(ps: PlatformScope, settings: Settings) -> bool:
    """Wait for web and engine, log the demo account in by a real packet, print where everything is. False if not."""
    try:
        async with asyncio.timeout(_WAIT):
            await _web_answers(settings)
            while not await engines.listing(ps):
                await asyncio.sleep(0.2)
            accepted = await _logs_in(settings)
    except TimeoutError:
        print(f"The service did not come up within {_WAIT:.0f} seconds; what it said stands above.")
        return False
    print(_banner(settings) if accepted else "The demo account was not accepted by the engine.", flush=True)
    return accepted


async def _web_answers(settings: Settings) -> None:
    url = f"http://{_reachable(settings)}:{settings.http_port}/login"
    while True:
        try:
            await asyncio.to_thread(urllib.request.urlopen, url, timeout=5)
            return
        except OSError:
            await asyncio.sleep(0.2)


async def _logs_in(settings: Settings) -> bool:
    """One Access-Request as a device sends it; tried anew while the engine does not know its devices yet."""
    host = _reachable(settings).strip("[]")
    ports = settings.auth_port, settings.acct_port
    async with Client(host, *ports, demo.NAS_SECRET, demo.NAS_IDENTIFIER) as device:
        while True:
            try:
                return (await device.pap(demo.USERNAME, demo.USER_PASSWORD)).accepted
            except NoAnswer:
                continue


def _reachable(settings: Settings) -> str:
    """The address that this machine reaches itself at, as a URL spells it."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind, settings.bind)
    return f"[{address}]" if ":" in address else address


def _banner(settings: Settings) -> str:
    host = _reachable(settings)
    site = f"http://{host}:{settings.http_port}"
    user = f'User-Name="{demo.USERNAME}",User-Password="{demo.USER_PASSWORD}",NAS-Identifier="{demo.NAS_IDENTIFIER}"'
    return f"""
OpenPNS is up; a log-in of the demo account by RADIUS was accepted.

  Console of the demo tenant   {site}/login
                               {demo.EMAIL}  {demo.PASSWORD}
  Console of the platform      {site}/login
                               {FIRST_OWNER}  {PLATFORM_PASSWORD}
  RADIUS                       {settings.bind}, authentication {settings.auth_port}, accounting {settings.acct_port}
  Demo device                  NAS-Identifier {demo.NAS_IDENTIFIER}, secret {demo.NAS_SECRET}
  Demo account                 {demo.USERNAME}  {demo.USER_PASSWORD}

  Try   echo '{user}' |
        radclient {host}:{settings.auth_port} auth {demo.NAS_SECRET}

  Data and logs are in {settings.data_dir}. Ctrl-C ends everything; the data stay.
"""
