"""The table of devices changes in place, and dedicated pools tell a tenant by the port."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from saas.radius.codec import Packet
from saas.radius.identify import PORT_ALONE, Table
from saas.tenants.nas import Device
from tests.radius.test_identify import ELSEWHERE, HOME, device, dynamic, fixed, found, login, report

# in place


def everything(table: Table) -> object:
    """What is in every index."""
    names = [nas.device.identifier for nas in table._identifiers.values()]
    by_address = [
        {address: [nas.id for nas in found] for address, found in index.items()}
        for index in (table._fixed, table._resolved)
    ]
    devices = {nas_id: (nas.device, nas.resolved) for nas_id, nas in table.devices.items()}
    return devices, sorted(names), by_address, sorted(table._anywhere), table._tenants


def some_device(number: int, dice: random.Random) -> tuple[Device, tuple[str, ...]]:
    """One of few names, addresses and tenants, so that devices meet; and where its name resolves to."""
    mode = dice.choice(["identifier", "ip", "ddns"])
    address = dice.choice(["", "192.0.2.1", "192.0.2.2"]) if mode != "ip" else dice.choice(["192.0.2.1", "192.0.2.2"])
    resolved = dice.sample(["192.0.2.1", "192.0.2.2", "192.0.2.3"], dice.randrange(3))
    made = device(
        f"{number}",
        tenant=f"t{dice.randrange(3)}",
        identifier=f"{number}-{dice.randrange(2)}",
        mode=mode,
        address=address,
        secret=dice.choice([b"", b"s", b"s"]),
    )
    return made, tuple(resolved)


@pytest.mark.parametrize("seed", range(20))
def test_after_any_changes_it_is_as_if_made_anew(seed: int) -> None:
    dice = random.Random(seed)
    table, held = Table(), {}
    for _ in range(200):
        number = dice.randrange(8)
        made, resolved = some_device(number, dice)
        if dice.random() < 0.3:
            table.remove(made.id)
            held.pop(made.id, None)
        else:
            table.put(made, resolved)
            held[made.id] = made, resolved
        anew = Table([each for each, _ in held.values()], {nas_id: names for nas_id, (_, names) in held.items()})
        assert everything(table) == everything(anew)
    assert table.devices


def test_an_identifier_passes_from_one_device_to_another_in_either_order() -> None:
    table = Table([device("one"), device("two")])
    table.put(device("two", identifier="one"))  # told before the first one's change is
    table.put(device("one", identifier="other"))
    assert (found(table, login("two", "one")), found(table, login("one", "other"))) == ("two", "one")
    assert found(table, login("two", "two")) == "unknown_nas"
    table.remove("nas_one")
    assert found(table, login("two", "one")) == "two"
    assert found(table, login("one", "other")) == "unknown_nas"


def test_a_changed_device_is_known_by_what_it_is_now() -> None:
    table = Table([fixed("ours")])
    table.put(fixed("ours", address=ELSEWHERE, secret=b"secret-new"))
    assert found(table, login("new"), ELSEWHERE) == "ours"
    assert found(table, login("new"), HOME) == "unknown_nas"
    table.put(dynamic("ours"), [HOME])
    assert found(table, login(""), HOME) == "ours"
    assert found(table, login(""), ELSEWHERE) == "unknown_nas"
    assert table.addresses(table.devices["nas_ours"]) == [HOME]
    table.put(dynamic("ours"), [])
    assert found(table, login(""), HOME) == "unknown_nas"
    table.put(dynamic("ours", secret=b""))
    assert not table.devices and table.ids_of("ten_ours") == frozenset()


def test_devices_of_one_address_are_tried_in_one_order_however_they_came() -> None:
    twins = [fixed("b", secret=b"secret-same"), fixed("a", secret=b"secret-same")]
    assert found(Table(twins), login("same")) == found(Table(twins[::-1]), login("same")) == "a"


# dedicated pools


def own(*devices: Device) -> Table:
    return Table(devices, dedicated=True)


@pytest.mark.parametrize("identifier", ["", "RouterOS"])
@pytest.mark.parametrize("make", [login, report])
def test_in_a_dedicated_pool_a_device_that_may_be_anywhere_is_known_by_its_proof(
    make: Callable[[str, str], Packet], identifier: str
) -> None:
    packet = make("ours", identifier)
    devices = [device("ours", tenant="t"), device("second", tenant="t"), fixed("third", tenant="t")]
    assert found(own(*devices), packet, ELSEWHERE) == "ours"
    assert found(Table(devices), packet, ELSEWHERE) == "unknown_nas", "in a shared pool it is nobody"


def test_the_port_alone_is_no_proof() -> None:
    table = own(device("ours", message_authenticator="optional"))
    assert found(table, login(""), ELSEWHERE) == "unknown_nas"
    assert found(table, login("wrong"), ELSEWHERE) == "unknown_nas"
    assert found(table, report("wrong"), ELSEWHERE) == "unknown_nas"


def test_a_device_with_an_address_is_nowhere_else() -> None:
    for bound in (fixed("ours"), dynamic("ours")):
        table = own(bound)
        assert found(table, login("ours"), ELSEWHERE) == "unknown_nas"
        assert found(table, report("ours"), ELSEWHERE) == "unknown_nas"


def test_whoever_names_a_device_must_prove_to_be_that_one() -> None:
    table = own(device("ours", tenant="t"), device("other", tenant="t"))
    assert found(table, login("ours", "other"), ELSEWHERE) == "bad_authenticator"


def test_a_secret_of_two_devices_tells_neither() -> None:
    twins = [device(name, tenant="t", secret=b"secret-same") for name in ("one", "two")]
    assert found(own(*twins), login("same"), ELSEWHERE) == "unknown_nas"


def test_not_when_there_are_many_or_when_another_tenant_is_still_there() -> None:
    few = [device(f"d{n}", tenant="t") for n in range(PORT_ALONE)]
    assert found(own(*few), login("d7"), ELSEWHERE) == "d7"
    assert found(own(*few, device("more", tenant="t")), login("d7"), ELSEWHERE) == "unknown_nas"
    table = own(device("ours"), device("theirs"))
    assert found(table, login("ours"), ELSEWHERE) == "unknown_nas"
    table.remove("nas_theirs")
    assert found(table, login("ours"), ELSEWHERE) == "ours"


def test_another_tenants_device_is_unknown_at_a_dedicated_port() -> None:
    """Whatever it knows: an engine's table holds the devices of its pool, so the other tenant's are not in it."""
    table = own(device("ours"))
    for packet in (login("theirs"), login("theirs", "theirs"), report("theirs", "theirs"), login("", "theirs")):
        assert found(table, packet, HOME) == "unknown_nas"
