"""A tenant's logo, as it stands on what the tenant prints. One that was printed stays, so that papers stay the same."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Base64Bytes, Field

from saas import images
from saas.errors import Invalid
from saas.i18n import N_
from saas.tenants import audit
from saas.tenants.forms import Form
from saas.tenants.scope import Scope
from saas.values import new_id, utcnow

MOST = 512 * 1024  # octets
_WIDTH, _HEIGHT = 800, 320  # pixels


class LogoForm(Form):
    """A picture, base64 in JSON."""

    picture: Annotated[Base64Bytes, Field(min_length=1, max_length=MOST)] = Field(
        title=N_("Picture"),
        description=N_("PNG or JPEG of at most 512 KB. It is made smaller where it is larger than 800 × 320 pixels."),
        json_schema_extra={"widget": "file", "accept": "image/png,image/jpeg"},
    )


async def replace(scope: Scope, form: LogoForm) -> None:
    """Make this the tenant's logo. Invalid when it is no picture."""
    try:
        png = await asyncio.to_thread(images.logo, form.picture, _WIDTH, _HEIGHT)
    except images.NoPicture:
        raise Invalid({"picture": "no_picture"}) from None
    await _set(scope, {"_id": new_id("log"), "png": png, "at": utcnow()})


async def remove(scope: Scope) -> None:
    """Print no logo any more."""
    await _set(scope, None)


async def png(scope: Scope, logo_id: str) -> bytes | None:
    """The picture of a logo of this tenant; None when there is none."""
    row = await scope.db.logos.one({"_id": logo_id}) if logo_id else None
    return bytes(row["png"]) if row else None


async def _set(scope: Scope, logo: dict[str, object] | None) -> None:
    logo_id = str(logo["_id"]) if logo else ""

    async def write(tx: Scope) -> None:
        if logo:
            await tx.db.logos.insert(logo)
        await tx.db.tenants.update(tx.tenant_id, {"$set": {"parameters.logo": logo_id}})
        before = {"logo": tx.tenant["parameters"]["logo"]}
        await audit.record(tx, "parameters.logo", tx.tenant_id, before=before, after={"logo": logo_id})

    await scope.transaction(write)
    await scope.changed("tenant", scope.tenant["slug"])
