"""Opening accounts, and what the engine is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from saas import security
from saas.errors import Denied, Invalid, Limit, NotFound, Taken
from saas.tenants import accounts, ledger, login_records, nas, parameters, plans, platform
from saas.tenants.accounts import AccountPasswordForm, QuickOpenForm
from saas.tenants.paging import ListQuery
from tests.world import USER_PASSWORD, USERNAME, World, make_business


def _form(world: World, **values: object) -> QuickOpenForm:
    return QuickOpenForm.model_validate({"username": "carol", "plan_id": world.acme.plan["_id"], **values})


async def test_quick_open_makes_member_account_and_books(world: World) -> None:
    scope = world.acme.scope
    account, password = await accounts.quick_open(scope, _form(world, units=2, method="alipay"), "try-1")
    assert len(password) == 10
    member = await scope.db.members.get(account["member_id"])
    assert (member["login"], member["balance"]) == ("carol", 0)
    assert security.check_password(member["password_hash"], password)
    rows = (await ledger.listing(scope, ListQuery(filters={"account_id": account["_id"]}))).rows
    assert [(row["kind"], row["amount"], row["method"]) for row in rows] == [
        ("charge", -6000, ""),
        ("payment", 6000, "alipay"),
    ]
    assert await ledger.differences(scope) == []


async def test_a_double_click_opens_once(world: World) -> None:
    scope = world.acme.scope
    results = await asyncio.gather(
        *(accounts.quick_open(scope, _form(world), "one-click") for _ in range(3)), return_exceptions=True
    )
    opened = [result for result in results if not isinstance(result, BaseException)]
    assert opened and all(isinstance(result, tuple | Taken) for result in results)
    again, password = await accounts.quick_open(scope, _form(world), "one-click")
    assert again["_id"] == opened[0][0]["_id"] and password == opened[0][1]
    assert await scope.db.ledger.count({"account_id": again["_id"]}) == 2


async def test_a_name_is_taken_in_any_spelling_and_free_in_another_tenant(world: World) -> None:
    with pytest.raises(Taken) as taken:
        await accounts.quick_open(world.acme.scope, _form(world, username=USERNAME.upper()), "try-2")
    assert taken.value.field == "username"
    assert world.zeta.account["username"] == USERNAME


async def test_another_tenants_plan_and_a_retired_one_are_no_choice(world: World) -> None:
    await plans.set_status(world.acme.scope, world.acme.plan["_id"], "retired")
    for plan_id in (world.zeta.plan["_id"], world.acme.plan["_id"]):
        with pytest.raises(Invalid) as invalid:
            await accounts.quick_open(world.acme.scope, _form(world, plan_id=plan_id), "try-3")
        assert invalid.value.fields == {"plan_id": "bad_choice"}
    assert await world.acme.scope.db.accounts.count() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"username": ""},
        {"username": "x" * 65},
        {"username": "<b>carol</b>"},
        {"username": {"$gt": ""}},
        {"password": "12345"},
        {"units": 0},
        {"units": "many"},
        {"method": "barter"},
        {"name": "<script>"},
        {"static_ip": "10.0.0.300"},
        {"surprise": "1"},
    ],
)
async def test_bad_input_is_refused(world: World, values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _form(world, **values)


async def test_the_free_tier_ends_somewhere(world: World) -> None:
    small = await make_business(world.ps, "small")
    tenant = await world.ps.db.tenants.update(small.id, {"$set": {"tier": "free"}})
    scope = world.ps.enter(tenant, small.scope.actor)
    allowed = platform.TIERS["free"].nas
    for number in range(allowed - 1):
        await nas.create(scope, nas.NasForm(name=f"Gate {number}", vendor="standard"))
    with pytest.raises(Limit) as limit:
        await nas.create(scope, nas.NasForm(name="One too many", vendor="standard"))
    assert limit.value.data == {"noun": "nas", "allowed": allowed}


async def test_login_records_carry_what_the_engine_needs(world: World) -> None:
    ps, name = world.ps, USERNAME
    keys = [(world.acme.id, name), (world.zeta.id, name), (world.acme.id, "nobody"), ("ten_none", name)]
    found = await login_records.find(ps, keys)
    assert set(found) == {(world.acme.id, name), (world.zeta.id, name)}
    record = found[world.acme.id, name]
    assert record.account_id == world.acme.account["_id"]
    assert record.nt_hash == security.nt_hash(USER_PASSWORD)
    assert ps.keys.unseal(world.acme.id, record.sealed_password) == USER_PASSWORD
    assert (record.interim_interval, record.max_session_time, record.concurrency) == (300, 86400, 1)
    with pytest.raises(security.Unsealable):
        ps.keys.unseal(world.zeta.id, record.sealed_password)


async def test_a_new_password_is_told_to_the_engine(world: World) -> None:
    scope, account_id = world.acme.scope, world.acme.account["_id"]
    await accounts.change_password(scope, account_id, AccountPasswordForm(password="brand-new-1"))
    record = (await login_records.find(world.ps, [(world.acme.id, USERNAME)]))[world.acme.id, USERNAME]
    assert record.nt_hash == security.nt_hash("brand-new-1")
    with pytest.raises(NotFound):
        await accounts.change_password(scope, world.zeta.account["_id"], AccountPasswordForm(password="brand-new-1"))


async def test_a_password_is_shown_only_where_the_tenant_allows(world: World) -> None:
    scope, account_id = world.acme.scope, world.acme.account["_id"]
    with pytest.raises(Denied):
        await accounts.reveal_password(scope, account_id)
    values = {**scope.tenant["parameters"], "show_password": True}
    del values["currency"], values["logo"]
    tenant = await parameters.update(scope, parameters.ParametersForm.model_validate(values))
    allowed = world.ps.enter(tenant, scope.actor)
    assert await accounts.reveal_password(allowed, account_id) == USER_PASSWORD
    looks = await scope.db.audit.find({"target": account_id, "action": "account.reveal_password"})
    assert len(looks) == 1


async def test_nothing_secret_stands_in_the_log_or_the_rows(world: World) -> None:
    rows = [*await world.ps.db.audit.find({}, limit=1000), *await world.ps.db.accounts.find({}, limit=1000)]
    assert rows and USER_PASSWORD not in str(rows)


async def test_accounts_are_found_by_the_beginning_of_what_is_known(world: World) -> None:
    scope = world.acme.scope
    await accounts.quick_open(scope, _form(world, name="Zhang San", mobile="13800138000"), "try-4")
    for q in ("car", "ZHANG", "13800"):
        assert [row["username"] for row in (await accounts.listing(scope, ListQuery(q=q))).rows] == ["carol"]
    assert (await accounts.listing(scope, ListQuery(q="san"))).rows == []


async def test_lists_go_on_by_keyset(world: World) -> None:
    scope = world.acme.scope
    for n in range(4):
        await accounts.quick_open(scope, _form(world, username=f"user{n}"), f"bulk-{n}")
    for sort, expected in (
        ("username", ["alice", "user0", "user1", "user2", "user3"]),
        ("-username", ["user3", "user2", "user1", "user0", "alice"]),
        ("-_id", ["user3", "user2", "user1", "user0", "alice"]),
    ):
        seen: list[str] = []
        query = ListQuery(sort=sort, limit=2)
        while True:
            found = await accounts.listing(scope, query)
            seen += [row["username"] for row in found.rows]
            if found.next is None:
                break
            query = ListQuery(sort=sort, limit=2, after=found.next)
        assert seen == expected


@pytest.mark.parametrize(("field", "value"), [("sealed_nt_hash", b"altered"), ("plan_id", "pln_gone")])
async def test_one_broken_row_keeps_nobody_else_out(
    world: World, expect_log: Callable[[str], None], field: str, value: object
) -> None:
    await world.acme.scope.db.accounts.update(world.acme.account["_id"], {"$set": {field: value}})
    expect_log(f"account {world.acme.account['_id']} cannot log in")
    found = await login_records.find(world.ps, [(world.acme.id, USERNAME), (world.zeta.id, USERNAME)])
    assert set(found) == {(world.zeta.id, USERNAME)}


async def test_one_broken_device_keeps_no_other_out(world: World, expect_log: Callable[[str], None]) -> None:
    await world.acme.scope.db.nas.update(world.acme.nas["_id"], {"$set": {"sealed_secret": b"altered"}})
    expect_log(f"device {world.acme.nas['_id']} cannot be served")
    served = {device.id async for device in nas.engine_devices(world.ps, "shared")}
    assert world.zeta.nas["_id"] in served and world.acme.nas["_id"] not in served
    await nas.delete(world.acme.scope, world.acme.nas["_id"])
