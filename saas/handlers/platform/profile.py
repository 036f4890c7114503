"""One's own profile in the platform's console."""

from __future__ import annotations

from saas.handlers import profile

ROUTES = profile.TABLE
