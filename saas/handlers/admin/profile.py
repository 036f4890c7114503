"""One's own profile in a tenant's console."""

from __future__ import annotations

from saas.handlers import profile
from saas.handlers.routes import SIGNED_IN, Route

ROUTES = [*profile.TABLE, Route("/profile/name", profile.OwnName, {"GET": SIGNED_IN, "POST": SIGNED_IN})]
