"""What a worker remembers: answers, accounts, host names, notes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from saas.errors import Unavailable
from saas.radius import logins as logins_module
from saas.radius.duplicates import IN_FLIGHT, Duplicates
from saas.radius.logins import Logins, Name
from saas.radius.names import INTERVAL, Names, resolve
from saas.radius.notes import Notes
from saas.tenants.access import LoginRecord
from saas.tenants.nas import Device
from saas.tenants.refusals import UnknownNas
from tests.radius.test_identify import dynamic, fixed

KEY = (("198.51.100.1", 1024), b"header")


def record(tenant_id: str, username: str) -> LoginRecord:
    return LoginRecord(
        tenant_id=tenant_id,
        account_id=f"acc_{username}",
        username=username,
        status="normal",
        sealed_password=b"",
        nt_hash=bytes(16),
        plan_id="plan_1",
        plan_name="Plan",
        nas_ids=frozenset(),
        expires_at=None,
        concurrency=0,
        up_rate=0,
        down_rate=0,
        address_pool="",
        static_ip="",
        interim_interval=300,
        max_session_time=0,
    )


class Accounts:
    """A store of accounts that counts how often it is asked; `during` runs while an answer is under way."""

    def __init__(self, *names: Name) -> None:
        self.names = set(names)
        self.asked: list[list[Name]] = []
        self.away = False

    async def fetch(self, names: list[Name]) -> dict[Name, LoginRecord]:
        self.asked.append(names)
        if self.away:
            raise Unavailable
        await self.during()
        return {name: record(*name) for name in names if name in self.names}

    async def during(self) -> None:
        return None


# answers


def test_a_request_is_new_then_in_flight_then_answered() -> None:
    cache = Duplicates()
    assert cache.seen(KEY) is None
    cache.begin(KEY, 0.0)
    assert cache.seen(KEY) == IN_FLIGHT
    cache.answered(KEY, b"answer")
    assert cache.seen(KEY) == b"answer"
    cache.forget(KEY)
    assert cache.seen(KEY) is None


def test_an_answer_is_remembered_for_its_time_and_then_forgotten() -> None:
    cache = Duplicates(ttl=10.0)
    cache.begin((("x", 0), b""), 100.0)
    cache.begin(KEY, 100.0)
    cache.answered(KEY, b"answer")
    cache.begin((("x", 1), b""), 110.0)
    assert cache.seen(KEY) == b"answer"
    cache.begin((("x", 2), b""), 120.0)
    assert cache.seen(KEY) is None


def test_the_number_of_answers_is_bounded() -> None:
    cache = Duplicates(ttl=1e9, limit=10)
    for port in range(100):
        cache.begin((("x", port), b""), 1.0)
    assert sum(cache.seen((("x", port), b"")) is not None for port in range(100)) <= 20
    assert cache.seen((("x", 99), b"")) == IN_FLIGHT


# accounts


async def test_accounts_are_fetched_once_and_together() -> None:
    store = Accounts(("t", "alice"), ("u", "alice"))
    cache = Logins(store.fetch)
    names = [("t", "alice"), ("u", "alice"), ("t", "nobody"), ("t", "alice")]
    found = await cache.fetch(names, 0.0)
    assert store.asked == [[("t", "alice"), ("u", "alice"), ("t", "nobody")]]
    assert found["u", "alice"].record == record("u", "alice")
    assert found["t", "nobody"].record is None
    await cache.fetch(names, 1.0)
    assert len(store.asked) == 1


async def test_accounts_grow_old_and_strangers_sooner() -> None:
    store = Accounts(("t", "alice"))
    cache = Logins(store.fetch)
    await cache.fetch([("t", "alice"), ("t", "nobody")], 100.0)
    assert cache.get(("t", "alice"), 100.0 + logins_module.MAX_AGE - 1) is not None
    assert cache.get(("t", "alice"), 100.0 + logins_module.MAX_AGE) is None
    assert cache.get(("t", "nobody"), 100.0 + logins_module.MAX_AGE_NOBODY) is None


async def test_a_change_forgets_the_account_or_the_tenant_and_nobody_else() -> None:
    names = [("t", "alice"), ("t", "bob"), ("u", "alice")]
    cache = Logins(Accounts(*names).fetch)

    async def kept_after(change: str) -> list[Name]:
        await cache.fetch(names, 0.0)
        if change == "account":
            cache.account_changed("t", "alice")
        elif change == "tenant":
            cache.tenant_changed("t")
        else:
            cache.clear()
        return [name for name in names if cache.get(name, 0.0)]

    assert await kept_after("account") == [("t", "bob"), ("u", "alice")]
    assert await kept_after("tenant") == [("u", "alice")]
    assert await kept_after("everything") == []


@pytest.mark.parametrize("change", ["account", "tenant", "everything"])
async def test_what_changed_while_it_was_fetched_is_not_kept(change: str) -> None:
    store = Accounts(("t", "alice"))
    cache = Logins(store.fetch)

    async def during() -> None:
        if change == "account":
            cache.account_changed("t", "alice")
        elif change == "tenant":
            cache.tenant_changed("t")
        else:
            cache.clear()

    store.during = during  # type: ignore[method-assign]
    found = await cache.fetch([("t", "alice")], 0.0)
    assert found["t", "alice"].record is not None
    assert cache.get(("t", "alice"), 0.0) is None


async def test_guessing_names_at_one_tenant_empties_no_other() -> None:
    cache = Logins(Accounts(("u", "alice")).fetch, limit=10)
    await cache.fetch([("u", "alice")], 0.0)
    guesses: Sequence[Name] = [("t", f"guess-{number}") for number in range(50)]
    await cache.fetch(guesses, 0.0)
    assert cache.get(("u", "alice"), 0.0) is not None
    assert sum(cache.get(name, 0.0) is not None for name in guesses) == 10


async def test_a_store_that_is_away_is_told_and_nothing_is_kept() -> None:
    store = Accounts(("t", "alice"))
    store.away = True
    cache = Logins(store.fetch)
    with pytest.raises(Unavailable):
        await cache.fetch([("t", "alice")], 0.0)
    assert cache.get(("t", "alice"), 0.0) is None


# host names


class Dns:
    """A name server whose answers a test sets."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = frozenset(addresses)
        self.asked: list[str] = []

    async def resolve(self, name: str) -> frozenset[str]:
        self.asked.append(name)
        return self.addresses


def watching(dns: Dns, *names: str) -> Names:
    made = Names(dns.resolve)
    for name in names:
        made.put(dynamic(name))
    return made


async def test_a_real_name_is_resolved() -> None:
    names = Names()
    names.put(dynamic("gate", ddns="localhost"))
    assert await names.refresh(0.0) == ["nas_gate"]
    assert "127.0.0.1" in names.addresses("nas_gate")


async def test_a_name_that_is_none_resolves_to_nothing() -> None:
    assert await resolve("not a host name") == frozenset()
    assert await resolve("x" * 300) == frozenset()


async def test_names_are_resolved_only_when_due() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    assert await names.refresh(0.0) == ["nas_one"]
    names.put(dynamic("one"))
    names.put(dynamic("two"))
    assert await names.refresh(INTERVAL - 1) == ["nas_two"]
    assert dns.asked == ["one.example.net", "two.example.net"]
    assert await names.refresh(INTERVAL) == []
    assert dns.asked[2:] == ["one.example.net"]


async def test_the_last_address_stays_good_for_one_interval() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    await names.refresh(0.0)
    dns.addresses = frozenset({"198.51.100.2"})
    assert await names.refresh(INTERVAL) == ["nas_one"]
    assert names.addresses("nas_one") == {"198.51.100.1", "198.51.100.2"}
    assert await names.refresh(2 * INTERVAL) == ["nas_one"]
    assert names.addresses("nas_one") == {"198.51.100.2"}


async def test_a_name_that_does_not_resolve_keeps_what_it_had() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    await names.refresh(0.0)
    dns.addresses = frozenset()
    for turn in range(1, 4):
        await names.refresh(turn * INTERVAL)
    assert names.addresses("nas_one") == {"198.51.100.1"}


async def test_another_name_and_another_device_begin_anew() -> None:
    dns = Dns("198.51.100.1")
    names = watching(dns, "one")
    await names.refresh(0.0)
    dns.addresses = frozenset({"198.51.100.2"})
    names.put(dynamic("one", ddns="other.example.net"))
    assert names.addresses("nas_one") == frozenset()
    assert await names.refresh(1.0) == ["nas_one"]
    assert names.addresses("nas_one") == {"198.51.100.2"}
    names.put(fixed("one"))
    assert names.addresses("nas_one") == frozenset()
    assert await names.refresh(2.0) == []


@pytest.mark.parametrize("now", [dynamic("one", ddns="other.example.net"), fixed("one"), None])
async def test_what_changes_while_a_name_is_being_resolved_is_not_undone(now: Device | None) -> None:
    class Slow(Dns):
        async def resolve(self, name: str) -> frozenset[str]:
            names.put(now) if now else names.remove("nas_one")
            return self.addresses

    names = watching(Slow("198.51.100.1"), "one")
    assert await names.refresh(0.0) == []
    assert names.addresses("nas_one") == frozenset()


# notes


def test_unknown_devices_are_counted_and_bounded() -> None:
    notes = Notes("shared", limit=2)
    for _ in range(3):
        notes.unknown_nas("198.51.100.1", "x" * 100, "unknown_nas", 5.0)
    for number in range(10):
        notes.unknown_nas(f"198.51.100.{number + 2}", "", "unknown_nas", 6.0)
    taken = notes.take()
    assert taken[0] == UnknownNas("shared", "198.51.100.1", "x" * 64, "unknown_nas", count=3, at=5.0)
    assert len(taken) == 2
    assert notes.take() == []
