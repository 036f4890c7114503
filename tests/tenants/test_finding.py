"""The one box: what a text finds, whose letters stand for a name, and that an index answers."""

from __future__ import annotations

from typing import Any

import pytest

from saas import migrations, pinyin
from saas.tenants import accounts, finding, lines, members, nas
from saas.tenants.finding import Found, Sole
from saas.tenants.paging import ListQuery
from saas.tenants.scope import PlatformScope
from tests.handlers.usage import ended, online
from tests.world import Business, make_business

EVERY = ("accounts", "members", "sessions", "nas", "payments")


@pytest.fixture(scope="module")
async def shop(ps: PlatformScope) -> Business:
    """A business with 张三 of zhangs01 and zhangs02, and 张三丰, who shares no mobile with anybody."""
    business = await make_business(ps, "finding")
    for username, name, mobile in (
        ("zhangs01", "张三", "13800000001"),
        ("zhangs02", "张三", "13800000001"),
        ("feng", "张三丰", "13912345678"),
    ):
        form = accounts.QuickOpenForm(username=username, plan_id=business.plan["_id"], name=name, mobile=mobile)
        await accounts.quick_open(business.scope, form, f"{business.slug}-{username}")
    return business


async def find(business: Business, text: str, nouns: Any = EVERY) -> Found:
    return await finding.find(business.scope, text, nouns)


def names(found: Found) -> list[str]:
    return [row["username"] for row in found.accounts]


def nothing(found: Found) -> bool:
    return not any((found.accounts, found.members, found.sessions, found.devices, found.sole))


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("张三", "zs"),
        ("单田芳", "stf"),
        ("欧阳娜娜", "oynn"),
        ("Alice Li", "al"),
        ("A公司", "ags"),
        ("重庆", "cq"),
        (" ", ""),
    ],
)
def test_letters_stand_for_a_name(name: str, letters: str) -> None:
    assert pinyin.initials(name) == letters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zhangs01", ["zhangs01"]),
        (" ZHANGS01 ", ["zhangs01"]),
        ("zhang", ["zhangs01", "zhangs02"]),
        ("zs", ["zhangs01", "zhangs02"]),
        ("zsf", ["feng"]),
        ("ZSF", ["feng"]),
        ("张三", ["zhangs01", "zhangs02", "feng"]),
        ("张", []),
        ("13912345678", ["feng"]),
        ("1391", ["feng"]),
        ("zh", []),
        ("nobody", []),
        ("$gt", []),
        ("", []),
    ],
)
async def test_names_initials_and_mobiles(shop: Business, text: str, expected: list[str]) -> None:
    assert names(await find(shop, text)) == expected


async def test_what_is_named_in_full_is_told(shop: Business) -> None:
    by_name = await shop.scope.db.accounts.one({"username": "zhangs01"})
    feng = await shop.scope.db.accounts.one({"username": "feng"})
    assert (await find(shop, "zhangs01")).sole == Sole("accounts", by_name["_id"])
    assert (await find(shop, "13912345678")).sole == Sole("accounts", feng["_id"])
    assert (await find(shop, "13800000001")).sole is None  # two people share it
    assert (await find(shop, by_name["_id"])).sole == Sole("accounts", by_name["_id"])
    assert (await find(shop, feng["member_id"])).sole == Sole("members", feng["member_id"])
    payment = await shop.scope.db.ledger.one({"kind": "payment"})
    assert (await find(shop, payment["_id"])).sole == Sole("payments", payment["_id"])
    assert (await find(shop, "acc_01kc3q0000000000000000000")).sole is None


async def test_addresses_now_ever_and_fixed(ps: PlatformScope, shop: Business) -> None:
    await online(ps, shop, "now", "zhangs01", framed_ip="10.1.0.1", calling_station_id="aa:bb:cc:00:00:01")
    await ended(ps, shop, "then", "User-Request", username="zhangs02", framed_ip="10.1.0.1", calling_station_id="")
    found = await find(shop, "10.1.0.1")
    assert names(found) == ["zhangs01", "zhangs02"]
    assert [row["open"] for row in found.sessions] == [True, False]
    for spelling in ("AA-BB-CC-00-00-01", "aa:bb:cc:00:00:01", "aabb.cc00.0001", "AABBCC000001"):
        assert names(await find(shop, spelling)) == ["zhangs01"], spelling
    feng = await shop.scope.db.accounts.one({"username": "feng"})
    await lines.update(shop.scope, feng["_id"], lines.LineForm(mac="02-00-00-00-00-09", static_ip="10.8.8.8"))
    assert names(await find(shop, "0200.0000.0009")) == names(await find(shop, "10.8.8.8")) == ["feng"]
    assert [row["username"] for row in await finding.open_sessions(shop.scope, await find(shop, "zhangs01"))] == [
        "zhangs01"
    ]
    assert names(await find(shop, "10.1.0.2")) == []


async def test_devices(shop: Business) -> None:
    await nas.create(shop.scope, nas.NasForm(name="West", vendor="mikrotik", address="203.0.113.77"))
    assert [row["name"] for row in (await find(shop, "203.0.113.77")).devices] == ["West"]
    assert [row["name"] for row in (await find(shop, "East")).devices] == ["East gate"]


async def test_nobody_finds_what_he_may_not_see(ps: PlatformScope, shop: Business) -> None:
    feng = await shop.scope.db.accounts.one({"username": "feng"})
    for text in ("feng", "zsf", "13912345678", feng["_id"], "10.1.0.1"):
        assert nothing(await find(shop, text, ["nas"])), text
        assert nothing(await find(shop, text, [])), text
    other = await make_business(ps, "other")
    for text in ("feng", "zsf", feng["_id"], feng["member_id"], "10.1.0.1"):
        assert nothing(await find(other, text)), text


async def test_lists_find_initials_too_and_a_new_name_by_its_own(shop: Business) -> None:
    assert [row["login"] for row in (await members.listing(shop.scope, ListQuery("zsf"))).rows] == ["feng"]
    member = await shop.scope.db.members.one({"login": "feng"})
    await members.update(shop.scope, member["_id"], members.MemberForm(name="李四", mobile="13912345678"))
    assert names(await find(shop, "ls")) == ["feng"] and names(await find(shop, "zsf")) == []
    assert [row["username"] for row in (await accounts.listing(shop.scope, ListQuery("ls"))).rows] == ["feng"]


async def test_members_of_old_get_their_letters(ps: PlatformScope, shop: Business) -> None:
    member = await shop.scope.db.members.one({"login": "zhangs01"})
    account = await shop.scope.db.accounts.one({"username": "zhangs01"})
    old = {"$unset": {"initials": "", "name_key": ""}, "$set": {"search": ["zhangs01"]}}
    await shop.scope.db.members.update(member["_id"], old)
    await shop.scope.db.accounts.update(account["_id"], {"$set": {"search": ["zhangs01"]}})
    for _ in range(2):
        await migrations.names_by_letters(ps)
    now = await shop.scope.db.members.get(member["_id"])
    assert (now["initials"], now["name_key"], now["search"]) == ("zs", "张三", ["zhangs01", "zs"])
    assert (await shop.scope.db.accounts.get(account["_id"]))["search"] == ["zhangs01", "zs"]
