"""Bad input for a form: each value must be told at its field, and leave everything as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tests.browser import Browser, text

HTML = "<script>alert(1)</script>"
Rows = Callable[[], Awaitable[Any]]
Bad = Mapping[str, Sequence[Any]]


def told(page: str, field: str) -> bool:
    """Whether the page has an error at the field."""
    return f'<div class="op-error" id="f-{field}-note">' in page


async def refuse(browser: Browser, path: str, good: Mapping[str, Any], bad: Bad, rows: Rows) -> None:
    """Send `good` with each bad value of each field as a form, and with `{"$gt": ""}` as a form and as JSON."""
    before = await rows()
    for field, values in bad.items():
        for value in values:
            answer = await browser.post(path, {**good, field: value})
            assert (answer.code, told(text(answer), field)) == (422, True), (field, value)
            assert HTML not in text(answer), field
        await _operators(browser, path, good, field)
    assert await rows() == before


async def _operators(browser: Browser, path: str, good: Mapping[str, Any], field: str) -> None:
    rest = {name: value for name, value in good.items() if name != field}
    answer = await browser.post(path, {**rest, f"{field}[$gt]": ""})
    assert answer.code == 422, field
    for value in ({"$gt": ""}, [{"$gt": ""}]):
        problem = await browser.post_json(path, {**good, field: value})
        assert problem.code == 422, (field, value)
        assert field in text(problem), (field, value)
