"""What the bell of the frame counts: what did not work and fell silent; and what is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from saas.handlers.base import Handler
from saas.handlers.reports import SCHEDULED
from saas.handlers.routes import SIGNED_IN, Route
from saas.handlers.words import BULK_VERBS
from saas.i18n import N_
from saas.tenants import overview
from saas.tenants.overview import Failures, Figures
from saas.values import from_epoch


@dataclass(frozen=True, slots=True)
class Alert:
    """One line: `kind` and `name` of what it is about, `at` when; `href` is "" for who may not see it."""

    kind: str
    name: str
    icon: str
    href: str
    at: datetime | None = None


class Alerts(Handler):
    """The page behind the bell; the frame of every other page takes its count from it."""

    async def get(self) -> None:
        """The page."""
        found = list(self._alerts(await overview.figures(self.scope), await overview.failures(self.scope)))
        running = [
            *(self._run(row) for row in await overview.under_way(self.scope.db.bulk_runs)),
            *(self._file(N_("Import"), row) for row in await overview.under_way(self.scope.db.imports)),
        ]
        self.page("admin/home/alerts.html", N_("Needs a look"), alerts=found, running=running)

    def _alerts(self, now: Figures, failed: Failures) -> Iterator[Alert]:
        for job, moment in failed.jobs:
            yield Alert(N_("Failed job"), self.reader(SCHEDULED.get(job, job)), "clock", "", moment)
        yield from (self._run(row) for row in failed.runs)
        yield from (self._file(N_("Stopped import"), row) for row in failed.files)
        for nas_id, name, heard in now["silent"]:
            yield Alert(N_("Silent device"), name, "router", self._to("/nas/{id}", nas_id), from_epoch(heard))
        if now["unsent"]:
            href = self.url("/notices", state="failed") if self.linked("/notices") else ""
            yield Alert(N_("Notices that were not sent"), self.reader.number(now["unsent"]), "mail", href)

    def _run(self, row: overview.Row) -> Alert:
        verb = self.reader(BULK_VERBS[row["verb"]])
        return Alert(N_("Bulk operation"), verb, "list-details", self._to("/bulk/{id}", row["_id"]), row["created_at"])

    def _file(self, kind: str, row: overview.Row) -> Alert:
        return Alert(kind, row["file"], "upload", self._to("/imports/{id}", row["_id"]), row["created_at"])

    def _to(self, path: str, row_id: str) -> str:
        return self.url(path, id=row_id) if self.linked(path) else ""


ROUTES = [Route("/alerts", Alerts, {"GET": SIGNED_IN})]
