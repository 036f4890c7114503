"""Engines and jobs as rows of a list: for a tenant the engines of its pool, for the platform those of every pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from saas.handlers.columns import Column
from saas.handlers.words import DROPPED
from saas.i18n import N_, Reader
from saas.tenants.engines import EngineReport
from saas.tenants.health import Beat
from saas.tenants.schedules import SCHEDULES, Every, Schedule, Summary
from saas.values import from_epoch

# What runs all the time, and what runs for each tenant at its time.
JOBS = {
    "accounting": N_("Apply the accounting journal"),
    "changes": N_("Hear what has changed"),
    "notes": N_("Keep refusals, unknown devices and learnt lines"),
    "kicks": N_("Force off sessions that gave way to a newcomer"),
    "stale_sessions": N_("Close sessions that fell silent"),
    "overdue_sessions": N_("Force off what devices do not end"),
    "adjustments": N_("Hold open sessions to what has changed"),
    "slots": N_("Rebuild concurrency slots"),
    "notices": N_("Send notices"),
    "chain": N_("Chain the entries of the operation logs"),
    "chain_check": N_("Check the chain of the platform log"),
    "bulk": N_("Work off bulk operations"),
    "import_files": N_("Read the files of imports"),
    "imports": N_("Work off imports"),
    "plans": N_("Prepare accounts for a change of their plan"),
    "scheduled": N_("Do what is due for the tenants"),
}
SCHEDULED = {
    "activations": N_("Activate what was opened ahead"),
    "card_expiry": N_("Mark recharge cards that have expired"),
    "chain": N_("Check the chain of the operation log"),
    "closings": N_("Close what stayed suspended"),
    "day_sums": N_("Reckon the sums of the day"),
    "expired": N_("Tell whose plan has ended"),
    "expiring": N_("Tell whose plan ends soon"),
    "online_counts": N_("Count who is online"),
    "proof": N_("Prove that every balance is the sum of its entries"),
    "quota_used": N_("Tell whose quota is used up, or nearly"),
    "renewals": N_("Renew from the balance"),
    "retention": N_("Remove session details that were kept long enough"),
}
ENGINE_COLUMNS = (
    Column(N_("Worker"), "worker", role="title"),
    Column(N_("State"), "state", "status"),
    Column(N_("Address"), "host", "code"),
    Column(N_("Ports"), "ports", "code"),
    Column(N_("Log-ins"), "auth_rate"),
    Column(N_("Accounting"), "acct_rate"),
    Column(N_("Version"), "version", role="minor"),
    Column(N_("Last heartbeat"), "at", "moment"),
)
# What the platform sees of a worker beyond what its tenants do.
WORKER_COLUMNS = (
    Column(N_("Worker"), "worker", role="title"),
    Column(N_("State"), "state", "status"),
    Column(N_("Address"), "host", "code", role="minor"),
    Column(N_("Ports"), "ports", "code"),
    Column(N_("Log-ins"), "auth_rate"),
    Column(N_("Accounting"), "acct_rate"),
    Column(N_("Dropped"), "dropped"),
    Column(N_("Devices"), "devices", "number"),
    Column(N_("Cached accounts"), "logins", "number", role="minor"),
    Column(N_("Memory"), "memory", "octets"),
    Column(N_("Version"), "version", role="minor"),
    Column(N_("Started"), "started_at", "moment", role="minor"),
    Column(N_("Last heartbeat"), "at", "moment"),
)
POOL_COLUMNS = (Column(N_("Pool"), "pool", "code"), *WORKER_COLUMNS)

JOB_COLUMNS = (
    Column(N_("Job"), "job", words=JOBS, role="title"),
    Column(N_("Process"), "holder", "code"),
    Column(N_("Last run"), "at", "moment"),
    Column(N_("Got done"), "done", "number"),
    Column(N_("Took (seconds)"), "took", "number", role="minor"),
    Column(N_("Error"), "error"),
)
SCHEDULE_COLUMNS = (
    Column(N_("Job"), "job", words=SCHEDULED, role="title"),
    Column(N_("When"), "when"),
    Column(N_("Tenants"), "tenants", "number"),
    Column(N_("Failing"), "failing", "number"),
    Column(N_("Last run"), "last_at", "moment"),
    Column(N_("Took (seconds)"), "took", "number", role="minor"),
    Column(N_("Got done"), "done", "number"),
    Column(N_("Next run"), "next_at", "moment"),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where devices send their packets; RadSec port 0: none."""

    host: str
    auth_port: int
    acct_port: int
    radsec_port: int


def endpoints(reports: Sequence[EngineReport]) -> list[Endpoint]:
    """The addresses and ports that the workers serve, each once: workers of one host share theirs."""
    found = (Endpoint(r.host, r.auth_port, r.acct_port, r.radsec_port) for r in reports)
    return list(dict.fromkeys(found))


def engine_rows(reader: Reader, reports: Sequence[EngineReport]) -> list[dict[str, Any]]:
    """Rows for ENGINE_COLUMNS, WORKER_COLUMNS and POOL_COLUMNS."""
    return [
        {
            "pool": report.pool,
            "worker": report.worker,
            "state": report.state,
            "host": report.host,
            "ports": ports_text(report.auth_port, report.acct_port, report.radsec_port),
            "auth_rate": rate_text(reader, report.auth_rate),
            "acct_rate": rate_text(reader, report.acct_rate),
            "dropped": _dropped(reader, report.dropped),
            "devices": report.devices,
            "logins": report.logins,
            "memory": report.memory or None,
            "started_at": from_epoch(report.started_at),
            "version": report.version,
            "at": from_epoch(report.at),
        }
        for report in reports
    ]


def ports_text(*ports: int) -> str:
    """Ports side by side; 0 is none."""
    return " / ".join(str(port) for port in ports if port)


def rate_text(reader: Reader, rate: float) -> str:
    """So many a second."""
    return reader(N_("{n}/s"), n=f"{rate:,.1f}")


def _dropped(reader: Reader, dropped: Mapping[str, int]) -> str:
    """How often for each reason, the most frequent first."""
    counts = sorted(dropped.items(), key=lambda each: -each[1])
    return ", ".join(f"{reader(DROPPED.get(reason, reason))} {count:,}" for reason, count in counts)


def job_rows(beats: Sequence[Beat]) -> list[dict[str, Any]]:
    """Rows for JOB_COLUMNS, failed ones first."""
    rows = [asdict(beat) | {"at": from_epoch(beat.at), "took": round(beat.took, 2)} for beat in beats]
    return sorted(rows, key=lambda row: not row["error"])


def schedule_rows(reader: Reader, summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """Rows for SCHEDULE_COLUMNS."""
    return [
        asdict(each) | {"when": _when(reader, SCHEDULES.get(each.job)), "took": round(each.took, 2)}
        for each in summaries
    ]


def _when(reader: Reader, schedule: Schedule | None) -> str:
    if isinstance(schedule, Every):
        return reader(N_("every {n} min"), n=schedule.minutes)
    if schedule and schedule.hour:
        return reader(N_("daily at the tenant's hour of notices"))
    return reader(N_("daily at {time}"), time=schedule.at.strftime("%H:%M")) if schedule else ""
