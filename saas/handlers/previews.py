"""What a form would do, shown beside it in words: what changes, what is to be paid, what to mind."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from saas.errors import AppError, Invalid
from saas.handlers.forms import FormPage
from saas.handlers.forms.bound import Bound
from saas.handlers.messages import STATES
from saas.handlers.words import account_state, expiry
from saas.i18n import N_, Reader
from saas.tenants.life import Preview

_BECOME = {
    "end": N_("Sessions that are open: {n}. They are forced off."),
    "speed": N_(
        "Sessions that are open: {n}. They get the new speed now, or at the next log-in where the device cannot do "
        "that."
    ),
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """`sum`: what changes hands, with its title; "" when no money does. `lines` are title, before, after.
    `sentence`: what comes of it; `words`: for whom.

    `mark`: what the form carries of it, so that nobody agrees to more than he saw (saas.handlers.forms.shown).
    """

    title: str
    sum: str
    lines: list[tuple[str, str, str]]
    notes: list[str]
    mark: str = ""
    sentence: str = ""
    words: tuple[str, ...] = ()


class PreviewPage(FormPage):
    """A form, beside it what it would do with what stands in it. Declare `look`; the template says preview.aside.

    `unseen`: texts that do not change it and may still be missing.
    """

    unseen: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    async def look(self, form: Any) -> Sheet:
        """What the form would do now. An AppError is told in its place."""

    async def preview(self) -> tuple[Sheet | None, AppError | None]:
        """What the form as it was posted would do; or as it stands, of which htmx tells in the query; or untouched."""
        posted = self.request.method == "POST"
        query = {name: self.get_query_arguments(name) for name in self.request.query_arguments} if self.htmx else {}
        given = self.body() if posted else query
        try:
            return await self.look(Bound(self.model).parse(given | {name: ["-"] for name in self.unseen})), None
        except Invalid as error:
            return None, error if given and not posted else None  # the form itself tells it
        except AppError as error:
            return None, None if posted else error


def sheet(reader: Reader, preview: Preview, plans: Mapping[str, str]) -> Sheet:
    """The preview for the box beside a form. `plans`: id -> name."""
    before, after = _words(reader, preview.before, plans), _words(reader, preview.after, plans)
    lines = [(title, before[title], after[title]) for title in before if before[title] != after[title]]
    if preview.postings:
        lines.append((N_("Balance"), reader.money(preview.balance), reader.money(preview.balance_after)))
    title = N_("To pay out") if preview.to_pay < 0 else N_("To pay")
    return Sheet(title, reader.money(abs(preview.to_pay)) if preview.to_pay else "", lines, _notes(reader, preview))


def _words(reader: Reader, account: Mapping[str, Any], plans: Mapping[str, str]) -> dict[str, str]:
    """The fields that acts change, as people read them."""
    octets, seconds = account["octets_left"], account["seconds_left"]
    unlimited = reader(N_("unlimited"))
    return {
        N_("Status"): reader(STATES[account_state(account)][0]),
        N_("Plan"): plans.get(account["plan_id"], ""),
        N_("Next plan"): plans.get(account["next_plan_id"], "—"),
        N_("Expires"): expiry(reader, account),
        N_("Automatic renewal"): reader(N_("on") if account["renews"] else N_("off")),
        N_("Traffic left"): reader.octets(max(0, octets)) if octets is not None else unlimited,
        N_("Online time left"): reader.duration(seconds) if seconds is not None else unlimited,
        N_("Real name"): account["member_name"],
    }


def _notes(reader: Reader, preview: Preview) -> list[str]:
    """What is easily overlooked."""
    found = []
    sold = next((posting for posting in preview.postings if posting.discount), None)
    if sold:
        price, less = reader.money(sold.list_price), reader.money(sold.discount)
        found.append(reader(N_("The price is {price}: a discount of {less}."), price=price, less=less))
    if account_state(preview.after) == "expired":
        found.append(reader(N_("It has expired all the same: buy something, or nobody gets online.")))
    if preview.online and preview.become:
        found.append(reader(_BECOME[preview.become], n=preview.online))
    return found
