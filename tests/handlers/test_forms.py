"""Forms: what is posted becomes the model or a message at the field."""

from __future__ import annotations

import asyncio
import itertools
import re
from datetime import date
from typing import Any

import pytest

from saas.errors import Invalid
from saas.handlers.forms import Bound
from saas.handlers.forms.fields import describe
from saas.kv import Kv
from tests.browser import Browser, text
from tests.handlers.sample import SampleConfirm, SampleForm, SampleFormPage
from tests.world import World

GOOD = {"_xsrf": ["t"], "name": ["Li"], "email": ["Li@Example.com"], "price": ["1,234.5"], "kind": ["one"]}


def faults(body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        Bound(SampleForm).parse(body)
    return caught.value.fields


def test_a_posted_form_becomes_the_model() -> None:
    more = {"rate": ["2.5"], "tags": ["a", "b"], "since": ["2026-11-23"], "on": ["1"], "address": ["::ffff:192.0.2.1"]}
    form = Bound(SampleForm).parse(GOOD | more)
    assert (form.name, form.email, form.price, form.rate) == ("Li", "li@example.com", 123450, 2_500_000)
    assert (form.tags, form.since, form.on, form.address) == (["a", "b"], date(2026, 11, 23), True, "192.0.2.1")
    assert Bound(SampleForm).parse(GOOD).on is False


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("name", [""], "missing"),
        ("name", ["   "], "missing"),
        ("name", ["x" * 65], "too_long"),
        ("name", ["<b>Li</b>"], "markup"),
        ("name", ["a\nb"], "control_characters"),
        ("name", ["a", "b"], "bad_type"),
        ("email", ["nobody"], "bad_email"),
        ("email", ["x" * 200 + "@example.com"], "too_long"),
        ("address", ["999.1.1.1"], "bad_address"),
        ("address", ["x" * 46], "too_long"),
        ("count", ["many"], "not_a_number"),
        ("count", ["10"], "too_large"),
        ("count", ["0"], "too_small"),
        ("count", ["1", "2"], "bad_type"),
        ("count", ["9" * 5000], "not_a_number"),
        ("price", ["ten"], "not_a_number"),
        ("price", ["1.005"], "too_many_decimals"),
        ("price", ["-1"], "too_small"),
        ("price", ["NaN"], "not_a_number"),
        ("rate", ["fast"], "not_a_number"),
        ("rate", ["Infinity"], "not_a_number"),
        ("kind", ["three"], "bad_choice"),
        ("since", ["yesterday"], "bad_date"),
        ("note", ["x" * 501], "too_long"),
        ("secret", ["short"], "too_short"),
    ],
)
def test_what_cannot_be_taken_has_a_code_at_its_field(name: str, value: list[str], code: str) -> None:
    assert faults(GOOD | {name: value}) == {name: code}


@pytest.mark.parametrize("name", [info.name for info in describe(SampleForm)])
def test_an_operator_of_the_database_is_no_value(name: str) -> None:
    plain = {"name": "Li", "email": "li@example.com", "price": 5, "kind": "one"}
    assert set(faults(plain | {name: {"$gt": ""}})) == {name}
    expected = {f"{name}[$gt]": "unknown_field"} | ({name: "missing"} if name in plain else {})
    body = {key: value for key, value in GOOD.items() if key != name}
    assert faults(body | {f"{name}[$gt]": [""]}) == expected


def test_json_is_taken_as_it_is() -> None:
    form = Bound(SampleForm).parse({"name": "Li", "email": "li@example.com", "price": 5, "kind": "one", "on": True})
    assert (form.price, form.on) == (5, True)
    assert faults({"name": "Li", "email": "li@example.com", "price": 5, "kind": "one", "other": 1}) == {
        "other": "unknown_field"
    }


def path(cast: World, page: str = "/form") -> str:
    return f"/t/{cast.acme.slug}/admin/sample{page}"


def fields(**changes: str) -> dict[str, str]:
    return {"name": "Li", "email": "li@example.com", "price": "5", "kind": "one", **changes}


async def test_a_wrong_form_is_shown_again_with_its_values(owner: Browser, cast: World) -> None:
    before = len(SampleFormPage.saves)
    typed = {"name": "<script>alert(1)</script>", "email": "nope", "secret": "pass-word-1", "rate": "2.5"}
    answer = await owner.post(path(cast), fields(**typed))
    page = text(answer)
    assert answer.code == 422
    assert page.count('class="op-error"') == 2
    assert 'value="&lt;script&gt;alert(1)&lt;/script&gt;"' in page and "<script>alert" not in page
    assert 'value="nope"' in page and 'value="2.5"' in page
    assert "pass-word-1" not in page
    assert 'aria-invalid="true"' in page
    assert len(SampleFormPage.saves) == before


async def test_errors_are_told_in_the_readers_language(owner: Browser, cast: World) -> None:
    assert "此项必填" in text(await owner.post(path(cast), fields(name="")))
    english = text(await owner.post(path(cast), fields(name=""), Accept_Language="en"))
    assert "Please fill this in." in english


async def test_a_program_gets_the_problem(owner: Browser, cast: World) -> None:
    answer = await owner.post_json(
        path(cast), {"name": {"$gt": ""}, "email": "li@example.com", "price": 1, "kind": "one"}
    )
    assert answer.code == 422
    assert '"field": "name", "code": "bad_type"' in text(answer)


async def test_a_state_is_told_at_the_field_or_above_the_form(owner: Browser, cast: World) -> None:
    reserved = await owner.post(path(cast), fields(name="taken by state"))
    assert reserved.code == 409 and 'class="op-error"' in text(reserved)
    changed = await owner.post(path(cast), fields(name="changed"))
    assert changed.code == 409 and "已被他人修改" in text(changed)


def attempt_of(page: str) -> str:
    found = re.search(r'name="_attempt" value="(\w+)"', page)
    assert found is not None
    return found.group(1)


async def test_a_double_click_is_one_entry(owner: Browser, cast: World) -> None:
    attempt = attempt_of(text(await owner.get(path(cast))))
    before = len(SampleFormPage.saves)
    body = fields(_attempt=attempt)
    answers = await asyncio.gather(*(owner.post(path(cast), body) for _ in range(4)))
    assert {answer.code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(SampleFormPage.saves) == before + 1


async def test_a_twin_that_is_late_to_ask_is_told_the_outcome(
    owner: Browser, cast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen that nothing is done, and gets its turn only when the other is done with everything."""
    attempt = attempt_of(text(await owner.get(path(cast))))
    before = len(SampleFormPage.saves)
    lease, over, asked = Kv.lease, asyncio.Event(), itertools.count()

    async def late(self: Kv, name: str, holder: str, ttl: float) -> bool:
        if next(asked) == 1:
            await over.wait()
        return await lease(self, name, holder, ttl)

    monkeypatch.setattr(Kv, "lease", late)
    twins = [asyncio.create_task(owner.post(path(cast), fields(_attempt=attempt))) for _ in range(2)]
    await asyncio.wait(twins, return_when=asyncio.FIRST_COMPLETED)
    over.set()
    one, other = await asyncio.gather(*twins)
    assert one.headers["Location"] == other.headers["Location"]
    assert len(SampleFormPage.saves) == before + 1


async def test_a_failed_attempt_may_be_repeated(owner: Browser, cast: World) -> None:
    attempt = attempt_of(text(await owner.get(path(cast))))
    failed = await owner.post(path(cast), fields(_attempt=attempt, name=""))
    assert failed.code == 422 and attempt_of(text(failed)) == attempt
    assert (await owner.post(path(cast), fields(_attempt=attempt))).code == 303


async def test_harm_is_confirmed_by_name(owner: Browser, cast: World) -> None:
    question = path(cast, "/mem_1/confirm")
    shown = text(await owner.get(question))
    assert "The &amp; victim" in shown
    before = list(SampleConfirm.acts)
    assert (await owner.post(question, {"confirm": "The other"})).code == 422
    assert (await owner.post(question)).code == 422
    assert SampleConfirm.acts == before
    assert (await owner.post(question, {"confirm": "The & victim"})).code == 303
    assert SampleConfirm.acts == [*before, "mem_1"]
