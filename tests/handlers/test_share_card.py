"""The share card: shown again where that is allowed, and on the form for the next account."""

from __future__ import annotations

import pytest

from tests.browser import Browser, text
from tests.handlers.test_admin_accounts import EN, opened, opening
from tests.world import Business


@pytest.fixture
def admin(own: Business) -> str:
    return f"/t/{own.slug}/admin"


async def test_the_card_is_shown_again_where_passwords_may_be_seen(boss: Browser, admin: str, own: Business) -> None:
    place = await opened(boss, admin, own, "card-3")
    await boss.get(place)
    assert (await boss.post(f"{place}/card")).code == 403
    await own.scope.db.tenants.update_one({"_id": own.id}, {"$set": {"parameters.show_password": True}})
    assert "Show the share card" in text(await boss.get(f"{place}/secret", **EN))
    assert (await boss.post(f"{place}/card")).headers["Location"] == place
    assert "card-3-pass" in text(await boss.get(place)) and "card-3-pass" not in text(await boss.get(place))
    assert await own.scope.db.audit.count({"action": "account.reveal_password", "target_name": "card-3"}) == 1
    await own.scope.db.tenants.update_one({"_id": own.id}, {"$set": {"parameters.show_password": False}})


async def test_several_are_opened_one_after_the_other(boss: Browser, admin: str, own: Business) -> None:
    answer = await boss.post(f"{admin}/accounts/open", opening(own, "row-1", _next="1"))
    place = str(answer.headers["Location"])
    assert place.startswith(f"{admin}/accounts/open?after=acc_")
    page = text(await boss.get(place, **EN))
    assert "row-1-pass" in page and f'value="{own.plan["_id"]}" selected' in page
    assert "row-1-pass" not in text(await boss.get(place))
    assert (await boss.get(f"{admin}/accounts/open?after=acc_none")).code == 404
