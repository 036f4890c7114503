"""Devices, plans, operators, parameters: the rules their operations keep."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from saas import permissions
from saas.errors import Conflict, Invalid, NotFound, Taken
from saas.permissions import PRESETS, Permission
from saas.tenants import accounts, audit, config_text, login, members, nas, nas_config, operators, parameters, plans
from saas.tenants.paging import ListQuery
from saas.tenants.scope import Actor
from tests.world import NAS_SECRET, World

pytestmark = pytest.mark.slow

FACTS = config_text.EngineFacts("radius.example.com", 1812, 1813, 300)


def _device(**values: object) -> nas.NasForm:
    return nas.NasForm.model_validate({"name": "West gate", "vendor": "openvpn", **values})


async def test_identifier_and_secret_are_made(world: World) -> None:
    made = await nas.create(world.acme.scope, _device())
    assert made["identifier"].startswith("nas-") and made["identifier"] != world.acme.nas["identifier"]
    assert len(await nas.reveal_secret(world.acme.scope, made["_id"])) == 20
    looks = await world.acme.scope.db.audit.find({"target": made["_id"], "action": "nas.secret"})
    assert len(looks) == 1


async def test_a_change_keeps_the_secret_unless_a_new_one_is_given(world: World) -> None:
    scope, nas_id = world.acme.scope, world.acme.nas["_id"]
    changed = await nas.update(scope, nas_id, _device(coa_port=1700), version=1)
    assert changed["identifier"] == world.acme.nas["identifier"]
    assert scope.unseal(changed["sealed_secret"]) == NAS_SECRET
    changed = await nas.update(scope, nas_id, _device(secret="another-secret"))
    assert scope.unseal(changed["sealed_secret"]) == "another-secret"
    with pytest.raises(Conflict):
        await nas.update(scope, nas_id, _device(), version=1)


async def test_an_identifier_is_unique_in_the_whole_cloud(world: World) -> None:
    with pytest.raises(Taken) as taken:
        await nas.create(world.acme.scope, _device(identifier=world.zeta.nas["identifier"]))
    assert taken.value.field == "identifier"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"mode": "ip"}, "address"),
        ({"mode": "ddns"}, "ddns"),
        ({"secret": "short"}, "secret"),
    ],
)
async def test_what_a_mode_needs_is_asked_for(world: World, values: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as invalid:
        await nas.create(world.acme.scope, _device(**values))
    assert list(invalid.value.fields) == [field]


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": "<script>alert(1)</script>"},
        {"name": {"$gt": ""}},
        {"vendor": "toaster"},
        {"address": "10.0.0"},
        {"ddns": "not a name"},
        {"coa_port": 0},
        {"coa_port": "many"},
        {"identifier": "nas 1"},
        {"secret": "with space inside"},
    ],
)
def test_bad_devices_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _device(**values)


async def test_addresses_have_one_spelling(world: World) -> None:
    made = await nas.create(world.acme.scope, _device(mode="ip", address="::ffff:192.0.2.9"))
    assert made["address"] == "192.0.2.9"


async def test_the_engine_sees_every_active_device_and_no_secret_is_mixed_up(world: World) -> None:
    async def devices() -> dict[str, nas.Device]:
        return {device.id: device async for device in nas.engine_devices(world.ps, "shared")}

    seen = await devices()
    for business in (world.acme, world.zeta):
        device = seen[business.nas["_id"]]
        assert (device.tenant_id, device.secret) == (business.id, NAS_SECRET.encode())
    await nas.set_status(world.acme.scope, world.acme.nas["_id"], "disabled")
    assert world.acme.nas["_id"] not in await devices()


async def test_a_device_in_use_stays(world: World) -> None:
    scope = world.acme.scope
    form = plans.PlanForm.model_validate({"name": "East only", "price": "1", "nas_ids": [world.acme.nas["_id"]]})
    await plans.create(scope, form)
    with pytest.raises(Conflict):
        await nas.delete(scope, world.acme.nas["_id"])


@pytest.mark.parametrize("vendor", list(nas.VENDORS))
async def test_the_ready_made_configuration_has_every_fact(world: World, vendor: str) -> None:
    text = "\n".join(s.text for s in nas_config.render(vendor, world.acme.nas, "the-secret", FACTS))
    for fact in (world.acme.nas["identifier"], "the-secret", FACTS.host, "1812", "1813"):
        assert fact in text


@pytest.mark.parametrize(
    ("block", "group"), [(0, "radius-server template openpns"), (1, "radius-server group openpns")]
)
async def test_huawei_has_a_text_for_either_family(world: World, block: int, group: str) -> None:
    """Each by itself: an AR has templates, an NE or ME has server groups, and is told to commit."""
    snippets = nas_config.render("huawei", world.acme.nas, "the-secret", FACTS)
    text = snippets[block].text
    for fact in (f"sysname {world.acme.nas['identifier']}\n", group, "the-secret", FACTS.host, "1812", "1813", " 5\n"):
        assert fact in text
    assert text.endswith("commit\n") == (block == 1)
    assert "default-domain authentication openpns" in snippets[2].text


def test_openvpn_is_warned_of_long_ports() -> None:
    long = config_text.EngineFacts("h", 18120, 18130, 300)
    assert nas_config.warnings("openvpn", long) and not nas_config.warnings("openvpn", FACTS)
    assert not nas_config.warnings("mikrotik", long)


async def test_a_plan_in_use_is_retired_not_deleted(world: World) -> None:
    scope, plan_id = world.acme.scope, world.acme.plan["_id"]
    with pytest.raises(Conflict):
        await plans.delete(scope, plan_id)
    await plans.set_status(scope, plan_id, "retired")
    assert await plans.for_sale(scope) == []
    await plans.set_status(scope, plan_id, "active")
    assert [plan["_id"] for plan in await plans.for_sale(scope)] == [plan_id]


async def test_a_plan_is_not_bound_to_a_foreign_device(world: World) -> None:
    form = plans.PlanForm.model_validate({"name": "X", "price": "1", "nas_ids": [world.zeta.nas["_id"]]})
    with pytest.raises(Invalid):
        await plans.create(world.acme.scope, form)


async def test_rates_and_money_are_exact(world: World) -> None:
    values = {"name": "Exact", "price": "1,234.56", "up_rate": "2.5", "down_rate": "0.128"}
    plan = await plans.create(world.acme.scope, plans.PlanForm.model_validate(values))
    assert (plan["price"], plan["up_rate"], plan["down_rate"]) == (123456, 2_500_000, 128_000)
    again = plans.PlanForm.model_validate(plans.form_of(plan))
    assert (again.price, again.up_rate) == (plan["price"], plans.mbps(plan["up_rate"]))


@pytest.mark.parametrize("price", ["", "-1", "1.005", "free", "1e400", "NaN"])
def test_a_bad_price_is_refused(price: str) -> None:
    with pytest.raises(ValidationError):
        plans.PlanForm.model_validate({"name": "X", "price": price})


async def test_nobody_gives_what_he_has_not(world: World) -> None:
    scope = world.ps.enter(world.acme.scope.tenant, world.acme.scope.actor, PRESETS["cashier"])
    with pytest.raises(Invalid):
        await operators.create_group(scope, operators.GroupForm(name="x", permissions=[Permission.NAS_WRITE]))
    form = operators.OperatorForm(login="eve", password="long-enough", group_id=world.acme.operator["group_id"])
    with pytest.raises(Invalid):
        await operators.create(scope, form)
    with pytest.raises(Invalid):
        await operators.delete(scope, world.acme.operator["_id"])


async def test_a_built_in_group_follows_the_code_until_its_permissions_are_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = world.acme.scope
    cashier = next(row for row in await operators.groups(scope) if row["preset"] == "cashier")
    before = operators.GroupForm(name="Till", permissions=sorted(PRESETS["cashier"]))
    await operators.update_group(scope, cashier["_id"], before)
    more = PRESETS["cashier"] | {Permission.NAS_READ}
    monkeypatch.setitem(permissions.PRESETS, "cashier", more)
    assert (await operators.get_group(scope, cashier["_id"]))["permissions"] == sorted(more)
    own = await operators.update_group(scope, cashier["_id"], before)
    assert (own["preset"], own["permissions"]) == ("", sorted(before.permissions))
    await operators.update(
        scope, world.acme.operator["_id"], operators.OperatorForm(login="bob", group_id=cashier["_id"])
    )
    bob = Actor("operator", world.acme.operator["_id"], "bob")
    for row, may in ((own, set(before.permissions)), ({"preset": "cashier", "permissions": []}, more)):
        kept = {name: row[name] for name in ("preset", "permissions")}
        await scope.db.groups.update(cashier["_id"], {"$set": kept})
        acting = await login.acting(world.ps, bob, scope.tenant)
        assert acting and acting.permissions == may


async def test_a_group_in_use_stays(world: World) -> None:
    with pytest.raises(Conflict):
        await operators.delete_group(world.acme.scope, world.acme.operator["group_id"])
    await operators.delete(world.acme.scope, world.acme.operator["_id"])
    await operators.delete_group(world.acme.scope, world.acme.operator["group_id"])
    with pytest.raises(NotFound):
        await operators.get_group(world.acme.scope, world.acme.operator["group_id"])


async def test_every_change_is_logged_with_before_and_after(world: World) -> None:
    scope = world.acme.scope
    await nas.update(scope, world.acme.nas["_id"], _device(name="Renamed", secret="another-secret"))
    entry = (await audit.listing(scope, ListQuery(filters={"target": world.acme.nas["_id"]}))).rows[0]
    assert (entry["action"], entry["actor_name"], entry["address"]) == ("nas.update", world.acme.email, "192.0.2.1")
    assert entry["changes"]["name"] == ["East gate", "Renamed"]
    assert entry["changes"]["sealed_secret"] == ["•", "•"]
    assert (await audit.listing(world.zeta.scope, ListQuery(q="Renamed"))).rows == []


async def test_parameters_are_checked_and_versioned(world: World) -> None:
    scope = world.acme.scope
    values = {k: v for k, v in scope.tenant["parameters"].items() if k not in ("currency", "logo")}
    form = parameters.ParametersForm.model_validate({**values, "interim_interval": 600, "timezone": "Europe/Berlin"})
    tenant = await parameters.update(scope, form, scope.tenant["version"])
    assert (tenant["parameters"]["interim_interval"], tenant["parameters"]["currency"]) == (600, "CNY")
    with pytest.raises(Conflict):
        await parameters.update(scope, form, scope.tenant["version"])
    for wrong in ({"interim_interval": 59}, {"timezone": "Moon/Crater"}, {"locale": "xx"}, {"max_session_time": 0}):
        with pytest.raises(ValidationError):
            parameters.ParametersForm.model_validate({**values, **wrong})


async def test_a_members_new_name_stands_on_all_its_accounts(world: World) -> None:
    scope, own = world.acme.scope, world.acme.account
    before = await scope.db.accounts.get(own["_id"])
    copies = [{**before, "_id": f"{own['_id']}{n:04d}", "username": f"copy{n:04d}"} for n in range(1100)]
    await scope.db.accounts.insert_many(copies)
    await members.update(scope, own["member_id"], members.MemberForm(name="Li Si", mobile="13900139000"))
    assert await scope.db.accounts.count({"member_name": "Li Si"}) == 1101
    found = await accounts.listing(scope, ListQuery(q="13900", limit=200))
    assert len(found.rows) == 200
    last = await scope.db.accounts.get(copies[-1]["_id"])
    assert {"13900139000", "139", "copy1099", "copy", "li si", "li", "ls"} <= set(last["search"])
