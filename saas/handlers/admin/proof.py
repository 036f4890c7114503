"""The proof that every balance is the sum of its entries."""

from __future__ import annotations

from saas.handlers.base import Handler
from saas.handlers.columns import Column
from saas.handlers.routes import Menu, Route
from saas.i18n import N_
from saas.permissions import Permission
from saas.tenants import proof

_PROOFS = (
    Column(N_("Time"), "at", "moment", role="title"),
    Column(N_("Balances"), "members", "number"),
    Column(N_("Entries"), "entries", "number"),
    Column(N_("Differences"), "wrong", "number"),
    Column(N_("Took (seconds)"), lambda row: round(row["took"], 2), "number", role="minor"),
)
_DIFFERENCES = (
    Column(N_("Member"), lambda row: row["login"] or row["member_id"], link="/members/{member_id}", role="title"),
    Column(N_("Balance"), "balance", "money"),
    Column(N_("Sum of the entries"), "entries", "money"),
    Column(N_("Difference"), lambda row: (row["balance"] or 0) - row["entries"], "money"),
)


class BalanceProof(Handler):
    """What the last proofs found."""

    async def get(self) -> None:
        """The page."""
        found = await proof.latest(self.scope)
        self.page(
            "admin/proof/page.html",
            N_("Balance proof"),
            last=found[0] if found else None,
            proofs=found,
            proof_columns=_PROOFS,
            difference_columns=_DIFFERENCES,
        )


ROUTES = [
    Route(
        "/proof",
        BalanceProof,
        {"GET": Permission.LEDGER_READ},
        Menu("Finance", N_("Balance proof"), "shield-check", 60),
    ),
]
