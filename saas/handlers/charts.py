"""Curves: drawn by JavaScript (static/charts.js) from these values, and a table of the same for whoever has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from saas.handlers.columns import Column, Row, printed
from saas.i18n import N_, Reader
from saas.tenants.overview import Curves


@dataclass(frozen=True, slots=True)
class Chart:
    """`drawn` goes to the script: {"kind", "shows", "labels", "series": [{"name", "values", "texts"}]}, the texts
    being the values as people read them. `columns` and `rows` are the table.
    """

    title: str
    icon: str
    drawn: dict[str, Any]
    columns: Sequence[Column]
    rows: Sequence[Row]


def online(reader: Reader, curves: Curves) -> Chart:
    """Online users of the last 24 hours."""
    rows = [{"label": reader.clock(moment)[:5], "online": count} for moment, count in curves.online]
    return _chart(
        reader, N_("Online users, last 24 hours"), "activity", "line", rows, [(N_("Online"), "online", "number")]
    )


def traffic(reader: Reader, curves: Curves) -> Chart:
    """Traffic of the sessions that ended on each day."""
    rows = [
        {"label": day["day"], "down": day["output_octets"], "up": day["input_octets"], "sessions": day["sessions"]}
        for day in curves.days
    ]
    series = [(N_("Download"), "down", "octets"), (N_("Upload"), "up", "octets")]
    return _chart(reader, N_("Traffic by day"), "gauge", "bar", rows, series)


def revenue(reader: Reader, curves: Curves) -> Chart:
    """Payments of each day, all methods together."""
    rows = [{"label": day["day"], "paid": sum(day["payments"].values())} for day in curves.days]
    return _chart(reader, N_("Payments by day"), "cash", "bar", rows, [(N_("Payments"), "paid", "money")])


def bars(
    reader: Reader, title: str, rows: Sequence[Row], label: Column, series: Sequence[tuple[str, str, str]]
) -> Chart:
    """Any figures as bars: `label` says what each row is of; `series` as (title, field, how it is shown)."""
    labelled = [{**row, "label": printed(reader, label, label.of(row))} for row in rows]
    return _chart(reader, title, "chart-bar", "bar", labelled, series)


def _chart(
    reader: Reader, title: str, icon: str, kind: str, rows: Sequence[Row], series: Sequence[tuple[str, str, str]]
) -> Chart:
    said: dict[str, Callable[[int], str]] = {"number": reader.number, "octets": reader.octets, "money": reader.money}
    drawn = {
        "kind": kind,
        "shows": series[0][2],
        "labels": [row["label"] for row in rows],
        "series": [
            {
                "name": reader(name),
                "values": [row[field] for row in rows],
                "texts": [said[show](row[field]) for row in rows],
            }
            for name, field, show in series
        ],
    }
    first = Column(N_("Time") if kind == "line" else N_("Day"), "label", role="title")
    return Chart(title, icon, drawn, (first, *(Column(name, field, show) for name, field, show in series)), rows)
