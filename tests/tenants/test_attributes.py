"""Attributes that a plan adds: what may be given, and that the engine can say whatever was taken."""

from __future__ import annotations

import pytest

from saas import migrations
from saas.errors import Conflict
from saas.radius import codec
from saas.tenants import attributes, plans
from saas.tenants.attributes import Attribute
from saas.tenants.plan_form import PlanForm
from tests.radius.test_codec import packet
from tests.world import World

SAMPLES = {
    "string": "gold",
    "integer": "16777215",
    "octets": "0x00ff",
    "ipaddr": "192.0.2.1",
    "ipv6addr": "2001:db8::1",
    "ipv6prefix": "2001:db8::/48",
}
GIVEN = [each for each in attributes.known().values() if each.allowed]


def test_the_dictionary_is_the_engines() -> None:
    known = attributes.known()
    assert set(codec.DICTIONARY.attributes) == {each.name for each in known.values()}
    for each in known.values():
        vendor, _, kind, tagged = codec.definition(each.name)
        assert (bool(vendor), kind, tagged) == (bool(each.vendor), each.type, each.tagged)
        named = {name.lower(): number for number, name in codec.value_names(each.name).items()}
        assert named.items() <= dict(each.values).items()


@pytest.mark.parametrize("attribute", GIVEN, ids=lambda each: each.name)
def test_what_may_be_given_is_said_by_the_engine(attribute: Attribute) -> None:
    pairs = attributes.pairs(f"{attribute.name} = {SAMPLES[attribute.type]}")
    found = codec.parse(packet(codec.attributes(*pairs))).value(attribute.name)
    given = pairs[0][1]
    assert found == given or (isinstance(given, str) and str(found).startswith(given))


def test_no_attribute_says_who_is_let_in_for_how_long_and_where() -> None:
    names = {each.name for each in GIVEN}
    for name in ("Class", "State", "Message-Authenticator", "EAP-Message", "Session-Timeout", "Idle-Timeout"):
        assert name not in names
    for name in ("User-Name", "Framed-IP-Address", "Framed-Pool", "Framed-Route", "Tunnel-Password", "Proxy-State"):
        assert name not in names
    assert not any(each.vendor == "Microsoft" or each.name.startswith("Acct-") for each in GIVEN)


def test_lines_are_read_in_any_spelling_and_kept_in_one() -> None:
    text = "  filter-id=gold \n\n SERVICE-TYPE =  framed\r\nMikrotik-Address-List = a = b\n"
    assert attributes.pairs(text) == (("Filter-Id", "gold"), ("Service-Type", 2), ("Mikrotik-Address-List", "a = b"))
    assert attributes.normal(text) == "Filter-Id = gold\nService-Type = framed\nMikrotik-Address-List = a = b"
    assert attributes.normal("") == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("gold", "attribute_line"),
        ("= gold", "attribute_line"),
        ("Filter-Id =", "attribute_line"),
        ("Filter-Ident = gold", "attribute_unknown"),
        ("Class = 0x01", "attribute_engines"),
        ("MS-MPPE-Send-Key = 0x01", "attribute_engines"),
        ("Session-Timeout = 60", "attribute_engines"),
        ("Framed-MTU = many", "attribute_value"),
        ("Framed-MTU = -1", "attribute_value"),
        ("Framed-MTU = 4294967296", "attribute_value"),
        ("Tunnel-Preference = 16777216", "attribute_value"),
        ("Framed-IP-Netmask = 255.255.255", "attribute_value"),
        ("DNS-Server-IPv6-Address = 192.0.2.1", "attribute_value"),
        (f"Filter-Id = {'x' * 254}", "attribute_value"),
        (f"Mikrotik-Address-List = {'x' * 248}", "attribute_value"),
        ("Filter-Id = a\x00b", "attribute_value"),
        ("Filter-Id = a\n" * 21, "attributes_many"),
        (f"Filter-Id = {'界' * 80}\n" * 5, "attributes_many"),
    ],
)
def test_what_cannot_be_sent_is_refused(text: str, code: str) -> None:
    with pytest.raises(Conflict) as refused:
        attributes.pairs(text)
    assert refused.value.code == code


async def test_a_plan_keeps_them_as_they_are_sent(world: World) -> None:
    form = plans.form_of(world.acme.plan) | {"attributes": "filter-id = gold", "visible": True}
    plan = await plans.update(world.acme.scope, world.acme.plan["_id"], PlanForm.model_validate(form))
    assert (plan["attributes"], plan["visible"]) == ("Filter-Id = gold", True)
    with pytest.raises(Conflict):
        await plans.update(
            world.acme.scope, plan["_id"], PlanForm.model_validate(form | {"attributes": "Class = 0x01"})
        )


async def test_plans_of_old_add_nothing(world: World) -> None:
    scope, plan_id = world.acme.scope, world.acme.plan["_id"]
    await scope.db.plans.update(plan_id, {"$unset": {"attributes": "", "visible": ""}})
    for _ in range(2):
        await migrations.attributes_begin(world.ps)
    plan = await plans.get(scope, plan_id)
    assert (plan["attributes"], plan["visible"]) == ("", False)
