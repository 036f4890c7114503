"""Why an account can or cannot get online: what `access.decide` says of it now, with the facts around that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from saas.tenants import accounts, life, login_records, plans, refusals, sessions, slots, user_checks
from saas.tenants.access import Decision, LoginRequest, decide
from saas.tenants.accounts import Account
from saas.tenants.life import Deed
from saas.tenants.plans import Plan
from saas.tenants.refusals import RefusalRow
from saas.tenants.scope import Scope
from saas.tenants.sessions import Session
from saas.values import utcnow

_ENDING = {"suspended": ("suspend",), "closed": ("close", "auto_close")}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on a login at this moment, its password untested; open sessions and last refusals, newest first.

    `nas_id`: the device that was asked about, "" for none in particular. `last`: when a session began last. `deed`:
    what suspended or closed the account, while it is. `unchecked`: the devices at which it gets in whatever its
    password, by name.
    """

    account: Account
    plan: Plan
    decision: Decision
    open: list[Session]
    refusals: list[RefusalRow]
    nas_id: str
    last: datetime | None
    deed: Deed | None
    unchecked: list[str]

    @property
    def refused_since(self) -> list[RefusalRow]:
        """Refusals, as far as they are known, since the account was online; none while it is."""
        if self.open:
            return []
        return [row for row in self.refusals if self.last is None or row["last_at"] > self.last]


async def accounts_verdict(scope: Scope, account_id: str, nas_id: str = "") -> Verdict:
    """Would this account be let in now, from another line than those it has open? NotFound.

    With `nas_id` at that device; without one the rule of devices passes. While it is offline and was refused for its
    line or its device the last time, it is asked of that one; otherwise of none in particular.
    """
    account = await accounts.get(scope, account_id)
    plan = plans.in_force(await plans.get(scope, account["plan_id"]), account)
    online = await sessions.online_of(scope, account_id)
    refused = await refusals.last_of(scope, account["username"])
    station, port = _line(refused[0]) if refused and not online else (None, None)
    if refused and not online and refused[0]["reason"] == "nas":
        nas_id = nas_id or refused[0]["nas_id"]
    request = LoginRequest(
        nas_id=nas_id,
        calling_station_id=station,
        now=utcnow().timestamp(),
        credentials=None,
        tenant_active=scope.tenant["status"] == "active",
        sessions=await slots.occupied(scope, account_id, nas_id),
        nas_port_id=port,
    )
    member = await scope.db.members.get(account["member_id"])
    record = login_records.make(account, plan, scope.tenant, member["balance"])
    last = online[0]["started_at"] if online else await sessions.last_start(scope, account_id)
    deed, unchecked = await _deed(scope, account), await _unchecked(scope, plan)
    return Verdict(account, plan, decide(request, record), online, refused, nas_id, last, deed, unchecked)


async def _deed(scope: Scope, account: Account) -> Deed | None:
    verbs = _ENDING.get(account["status"], ())
    done = await life.history(scope, account["_id"]) if verbs else []
    return next((deed for deed in done if deed["verb"] in verbs), None)


async def _unchecked(scope: Scope, plan: Plan) -> list[str]:
    rows = await user_checks.open_ones(scope)
    return [row["name"] for row in rows if not plan["nas_ids"] or row["_id"] in plan["nas_ids"]]


def _line(refusal: RefusalRow) -> tuple[str | None, bytes | None]:
    """Calling station and NAS-Port-Id of a login that was refused for one of them; None for what was no reason."""
    if refusal["reason"] == "mac":
        return refusal["calling_station_id"], None
    if refusal["reason"] == "vlan":
        return None, f"0/0/0:{refusal['data']['sent']}".encode()  # the VLAN alone was kept
    return None, None
