"""The story of a first login, told by HTTP and UDP to a service of its own: ``make smoke``.

Starts `openpns run` on free ports over a temporary folder, signs a tenant up, adds a device, a plan and an account,
logs in by every method, meters a session, forces it off, reads the operation log, stops the service, starts it again
and finds everything. Prints each step; exit status 0 when all went well.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from saas.radius.client import Client, DisconnectListener
from tests.browser import Browser, text
from tests.service import Failed, Service, found
from tests.support import until

NAME, PASSWORD, SECRET = "smoke", "a-long-password", "smoke-shared-secret"
USER, USER_PASSWORD = "carol", "carol-secret"


def check(good: Any, what: str) -> None:
    """Print the step, or end the story."""
    if not good:
        raise Failed(what)
    print(f"  ok   {what}", flush=True)


class Story:
    """A tenant from sign-up to the first forced log-off."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.web = Browser(service.site)
        self.web.cookies["lang"] = "en"
        self.base = f"/t/{NAME}/admin"

    async def page(self, path: str) -> str:
        """A page of the console."""
        answer = await self.web.get(self.base + path)
        if answer.code != 200:
            raise Failed(f"{path}: {answer.code}")
        return text(answer)

    async def send(self, path: str, fields: dict[str, Any]) -> str:
        """Fill in a form and send it; where it leads."""
        await self.web.get(path)
        answer = await self.web.post(path, fields)
        if answer.code != 303:
            raise Failed(f"{path}: {answer.code} {re.findall('invalid-feedback[^<]*<?[^<]*', text(answer))}")
        return str(answer.headers["Location"])

    async def tell(self) -> None:
        """All of it."""
        await self.sign_up()
        await self.set_up()
        async with DisconnectListener(SECRET, lambda packet: self.on_disconnect(packet)) as listener:
            self.listener = listener
            await self.add_device()
            await self.open_account()
            ports = self.service.ports
            async with Client("127.0.0.1", ports["AUTH"], ports["ACCT"], SECRET, self.identifier) as device:
                await self.log_in(device)
                await self.meter(device)
                await self.force_off(device)
        await self.read_log()

    async def sign_up(self) -> None:
        form = {"system_name": "Smoke VPN", "slug": NAME, "email": f"{NAME}@example.com", "password": PASSWORD}
        confirm = await self.send("/signup", form)
        check("confirm" in confirm, "signed up on the free tier; a code was mailed")
        await self.send(confirm, {"code": self.service.mailed_code()})
        self.web.cookies.pop("session", None)
        await self.send("/login", {"login": f"{NAME}@example.com", "password": PASSWORD})
        home = await self.page("")
        ports = self.service.ports
        facts = ("Smoke VPN", "Free", "127.0.0.1", str(ports["AUTH"]), str(ports["ACCT"]))
        check(all(fact in home for fact in facts), "logged in; home shows tenant, tier, the engine's address and ports")

    async def set_up(self) -> None:
        where = await self.send(
            f"{self.base}/plans/new",
            {"name": "Monthly 20M", "kind": "prepaid_monthly", "price": "30.00", "up_rate": "10", "down_rate": "20"}
            | {"concurrency": "0"},
        )
        self.plan_id = where.rpartition("/")[2]
        check(self.plan_id.startswith("pln_"), "added a prepaid monthly plan")

    async def add_device(self) -> None:
        made = found(r"(nas-[a-z0-9]{12})", text(await self.web.get(f"{self.base}/nas/identifier")), "an identifier")
        where = await self.send(
            f"{self.base}/nas/new",
            {"name": "Gate", "vendor": "mikrotik", "mode": "identifier", "identifier": made, "secret": SECRET}
            | {"coa_port": str(self.listener.port), "message_authenticator": "auto"},
        )
        self.identifier, self.nas = made, where.removeprefix(self.base)
        check(made in await self.page(self.nas), f"added a device; its identifier {made} was generated")
        shown = unescape(text(await self.web.post(f"{where}/secret")))
        wanted = ("radiusplugin", "pptpd", "xl2tpd", "/radius add", SECRET, made, str(self.service.ports["AUTH"]))
        check(all(word in shown for word in wanted), "its page configures OpenVPN, pptpd/xl2tpd and RouterOS")

    async def open_account(self) -> None:
        where = await self.send(
            f"{self.base}/accounts/open",
            {"username": USER, "password": USER_PASSWORD, "plan_id": self.plan_id, "units": "1", "method": "cash"},
        )
        self.account = where.removeprefix(self.base).partition("?")[0]
        check(USER in await self.page(self.account), "opened an account")

    async def log_in(self, device: Client) -> None:
        for method in (device.pap, device.chap):
            answer = await method(USER, USER_PASSWORD)
            check(answer.accepted, f"logged in by {method.__name__.upper()}")
        answer = await device.mschapv2(USER, USER_PASSWORD)
        keys = len(answer.mppe_send) == 16 and len(answer.mppe_recv) == 16
        check(answer.accepted and keys, "logged in by MS-CHAPv2, with MPPE keys")
        check(
            answer.value("Mikrotik-Rate-Limit") == "10M/20M",
            "the Accept carries the speed of the plan",
        )
        self.session_class = answer.value("Class")
        wrong = await device.mschapv2(USER, "wrong-password")
        check(not wrong.accepted, "a wrong password is rejected")

    async def meter(self, device: Client) -> None:
        common = {
            "Framed-IP-Address": "10.9.8.7",
            "Calling-Station-Id": "AA-BB-CC-00-11-22",
            "Class": self.session_class,
        }
        self.common = common
        await device.accounting("start", USER, "smoke-1", common)
        usage = {"Acct-Session-Time": 60, "Acct-Input-Octets": 5_242_880, "Acct-Output-Octets": 0}
        await device.accounting("interim", USER, "smoke-1", {**common, **usage, "Acct-Output-Gigawords": 1})
        online = await self.wait_for("/online", "4.0 GB")
        check(USER in online and "10.9.8.7" in online, "online with 5 MB up and 4 GB down after Start and Interim")
        self.session = found(r"/sessions/(ses_[0-9a-z]+)", online, "the session")

    async def force_off(self, device: Client) -> None:
        path = f"{self.base}/sessions/{self.session}/disconnect"
        await self.web.get(path)
        answer = await self.web.post(path)
        if answer.code == 303:
            answer = await self.web.get(str(answer.headers["Location"]))
        check(self.listener.received, "force off sent a Disconnect-Request to the device")
        check("The device has accepted" in unescape(text(answer)), "the console shows the device's answer: accepted")
        usage = {"Acct-Session-Time": 90, "Acct-Input-Octets": 6_291_456, "Acct-Output-Octets": 1_073_741_824}
        stop = {**self.common, **usage, "Acct-Output-Gigawords": 1, "Acct-Terminate-Cause": 6}
        await device.accounting("stop", USER, "smoke-1", stop)
        detail = await self.wait_for(f"/sessions/{self.session}", "5.0 GB")
        check("6.0 MB" in detail, "after the Stop, session detail has 6 MB up and 5 GB down")
        check(USER not in await self.page("/online"), "nobody is online any more")

    async def read_log(self) -> None:
        log = await self.page("/log")
        check(log.count(f"{NAME}@example.com") >= 5, "the operation log shows who did all that")

    async def wait_for(self, path: str, mark: str) -> str:
        """The page, once `mark` stands on it."""
        seen = ""

        async def marked() -> bool:
            nonlocal seen
            seen = await self.page(path)
            return mark in seen

        await until(marked, f"{mark} is shown on {path}")
        return seen

    on_disconnect: Callable[[Any], int | None] = staticmethod(lambda packet: 0)


async def main() -> int:
    """Tell the story in a folder that is removed afterwards; the exit status."""
    with tempfile.TemporaryDirectory(prefix="openpns-smoke-") as name:
        service = Service(Path(name))
        try:
            print("starting the service", flush=True)
            await service.start()
            check(True, "the service is up; the demo account was accepted by RADIUS")
            story = Story(service)
            await story.tell()
            check(await service.stop() == 0, "Ctrl-C ended every process")
            await service.start()
            await story.send("/login", {"login": f"{NAME}@example.com", "password": PASSWORD})
            check(USER in await story.page(story.account), "a second start found its data again")
            return 0
        except (Failed, AssertionError) as error:
            print(f"  FAILED  {error}")
            print(b"\n".join((service.folder / "run.log").read_bytes().splitlines()[-30:]).decode())
            return 1
        finally:
            await service.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
