"""Arithmetic of plans: prices and dates. Pure."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo


def price_of(monthly_price: int, months: int) -> int:
    """List price of months of a prepaid monthly plan, in minor units."""
    return monthly_price * months


def expiry(start: datetime, months: int, zone: str) -> datetime:
    """When a plan bought at `start` ends: 23:59:59 of the same day `months` later, as the tenant's zone counts days.

    A day that the later month lacks becomes its last: 31 January and one month is 28 or 29 February.
    """
    tz = ZoneInfo(zone)
    local = start.astimezone(tz)
    year, month = divmod(local.month - 1 + months, 12)
    year, month = local.year + year, month + 1
    day = min(local.day, calendar.monthrange(year, month)[1])
    return datetime.combine(datetime(year, month, day).date(), time(23, 59, 59), tz).astimezone(UTC)
