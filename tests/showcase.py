"""A business to be shown: people, sessions, payments and refusals as on any working day, in either language."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from saas import __version__
from saas.tenants import accounts, engines, nas, overview, plans, refusals, sums, wallet
from saas.tenants.engines import EngineReport
from saas.tenants.refusals import Refusal
from saas.tenants.schedules import Occasion
from saas.tenants.scope import PlatformScope
from saas.values import utcnow
from tests.handlers.usage import ended, online
from tests.world import Business, make_business, set_account


@dataclass(frozen=True, slots=True)
class Cast:
    """What everybody is called in one language."""

    business: str
    devices: tuple[str, str]
    plans: tuple[str, str]
    people: tuple[str, ...]
    asks: str  # what is typed to find the customer who cannot log in


CASTS = {
    "en": Cast(
        "Harbour Net",
        ("East gate", "West gate"),
        ("Home 100M", "VPN yearly"),
        (
            "Anna Smith",
            "Ben Jones",
            "Carla Moore",
            "David Brown",
            "Emma Clark",
            "Frank Hall",
            "Grace Lee",
            "Henry Young",
        ),
        "anna",
    ),
    "zh": Cast(
        "海湾网络",
        ("东门", "西门"),
        ("家庭宽带 100M", "VPN 年付"),
        ("张三", "李娜", "王强", "陈静", "刘洋", "赵敏", "孙浩", "周婷"),
        "zs",
    ),
}
_LOGINS = ("anna", "ben", "carla", "david", "emma", "frank", "grace", "henry")


async def make_showcase(ps: PlatformScope, language: str) -> tuple[Business, list[accounts.Account]]:
    """The business, and its accounts: the first one's plan is over, and refused for that; three are online."""
    told = CASTS[language]
    business = await make_business(ps, "show", told.business)
    scope = business.scope
    await scope.db.nas.update(business.nas["_id"], {"$set": {"name": told.devices[0]}})
    second = await nas.create(scope, nas.NasForm(name=told.devices[1], vendor="strongswan"))
    rates = {"up_rate": "20", "down_rate": "100", "concurrency": 1}
    home, vpn = [
        await plans.create(scope, plans.PlanForm.model_validate({"name": name, "price": price} | rates))
        for name, price in zip(told.plans, ("99.00", "365.00"), strict=True)
    ]
    opened = []
    for number, (login, name) in enumerate(zip(_LOGINS, told.people, strict=True)):
        form = accounts.QuickOpenForm(
            username=login,
            plan_id=(vpn if number % 3 == 2 else home)["_id"],
            name=name,
            mobile=f"1380000{number:04d}",
            method=("cash", "wechat", "alipay", "transfer")[number % 4],
        )
        opened.append((await accounts.quick_open(scope, form, f"show-{number}"))[0])
    await set_account(scope, opened[0]["_id"], expires_at=utcnow() - timedelta(days=3))
    await set_account(scope, opened[5]["_id"], expires_at=utcnow() + timedelta(days=2))
    await wallet.top_up(scope, opened[1]["member_id"], wallet.TopUpForm.model_validate({"amount": "200.00"}), "show")
    await _sessions(ps, business, opened, str(second["_id"]))
    await _engine(ps, business)
    await refusals.keep(ps, [_refusal(business, opened[0], minutes) for minutes in (2, 9, 16)])
    return business, opened


async def _engine(ps: PlatformScope, business: Business) -> None:
    """An engine of the business's own pool, so that no other test sees it, with a day's curve behind it."""
    scope, now = business.scope, utcnow()
    await ps.db.tenants.update(business.id, {"$set": {"pool": business.slug}})
    await engines.heartbeat(
        ps,
        EngineReport(
            pool=business.slug,
            worker="vpn1:2071",
            host="radius.example.net",
            auth_port=1812,
            acct_port=1813,
            radsec_port=2083,
            state="running",
            version=__version__,
            started_at=time.time() - 86_400,
            at=time.time(),
            auth_rate=1.4,
            acct_rate=5.2,
            accepted=41_212,
            rejected=311,
            accounting=150_733,
        ),
        [engines.DeviceCount(business.id, business.nas["_id"], time.time(), accepted=208)],
    )
    for ago in range(24):
        await overview.count_online(scope, Occasion(now, now, now - timedelta(hours=ago)))
    for ago in range(1, 15):
        await sums.reckon(scope, (now - timedelta(days=ago)).date())


async def _sessions(ps: PlatformScope, business: Business, opened: list[accounts.Account], second: str) -> None:
    for number in (1, 2, 3, 4):
        facts: dict[str, Any] = {
            "username": opened[number]["username"],
            "account_id": opened[number]["_id"],
            "framed_ip": f"10.9.0.{number + 1}",
            "calling_station_id": f"AA-BB-CC-DD-EE-0{number}",
            "nas_id": second if number == 3 else business.nas["_id"],
        }
        if number == 4:
            await ended(ps, business, "show-4", "user_request", **facts)
        else:
            await online(ps, business, f"show-{number}", **facts)


def _refusal(business: Business, account: accounts.Account, minutes: int) -> Refusal:
    return Refusal(
        tenant_id=business.id,
        nas_id=business.nas["_id"],
        username=account["username"],
        account_id=account["_id"],
        reason="expiry",
        data={},
        method="mschapv2",
        calling_station_id="AA-BB-CC-DD-EE-00",
        source="203.0.113.7",
        at=time.time() - 60 * minutes,
    )
