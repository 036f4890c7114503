"""Jobs: what runs all the time, and what runs for each tenant at its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.lists import Column, Filter, ListPage
from saas.handlers.reports import JOB_COLUMNS, SCHEDULE_COLUMNS, SCHEDULED, job_rows, schedule_rows
from saas.handlers.routes import SIGNED_IN, Menu, Route
from saas.i18n import N_
from saas.tenants import health, journal, schedules
from saas.tenants.paging import ListQuery, Page


class Jobs(ListPage):
    """Every job of every tenant, the failed ones first; above it each job over all tenants."""

    title = N_("Jobs")
    template = "platform/jobs.html"
    search = N_("Short name")
    sort = "-failures"
    export = "jobs"
    columns = (
        Column(N_("Job"), "job", words=SCHEDULED, role="title"),
        Column(N_("Tenant"), "slug", link="/tenants/{tenant_id}"),
        Column(N_("State"), lambda row: state_of(row), "status"),
        Column(N_("Last run"), "last_at", "moment"),
        Column(N_("Took (seconds)"), lambda row: round(row["took"], 2), "number", role="minor"),
        Column(N_("Got done"), "done", "number"),
        Column(N_("Next run"), "next_at", "moment"),
        Column(N_("Error"), "error"),
    )
    filters = (Filter("job", N_("Job"), tuple(SCHEDULED.items())),)
    empty = N_("No tenant has a job yet. They get theirs when a jobs process runs.")

    async def rows(self, query: ListQuery) -> Page:
        """See schedules.listing."""
        return await schedules.listing(self.ps, query)

    async def extra(self) -> Mapping[str, Any]:
        """The jobs over all tenants, and those without a schedule."""
        return {
            "summaries": schedule_rows(self.reader, await schedules.summaries(self.ps)),
            "summary_columns": SCHEDULE_COLUMNS,
            "loops": job_rows(await health.beats(self.ps)),
            "loop_columns": JOB_COLUMNS,
            "backlog": await journal.backlog(self.ps),
        }


def state_of(row: Mapping[str, Any]) -> str:
    """The one word for a job of a tenant."""
    if row["failures"]:
        return "failed"
    return "done" if row["last_at"] else "waiting"


ROUTES = [
    Route("/jobs", Jobs, {"GET": SIGNED_IN}, Menu("System", N_("Jobs"), "clock", 10)),
]
