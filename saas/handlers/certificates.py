"""The card of a device's certificates: what it shows, and the files of one that was issued just now."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saas.handlers.columns import Column
from saas.i18n import N_
from saas.tenants import certificates, radsec_config
from saas.tenants.config_text import EngineFacts
from saas.tenants.nas import Nas
from saas.tenants.scope import Scope
from saas.values import utcnow

COLUMNS = (
    Column(N_("Issued"), "created_at", "day", role="title"),
    Column(N_("Good until"), "valid_until", "day"),
    Column(N_("State"), "state", "status"),
    Column(N_("Serial number"), "serial", "code", role="minor"),
)


@dataclass(frozen=True, slots=True)
class Issued:
    """What the reader is given this once: texts by file name, and all of them as a link to a .zip file."""

    files: Mapping[str, str]
    link: str
    name: str


def issued(bundle: certificates.Bundle, server_authority: str, nas: Nas) -> Issued:
    """The files of a certificate, to be shown once: the private key is kept nowhere."""
    files = radsec_config.files(bundle, server_authority)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    link = "data:application/zip;base64," + base64.b64encode(packed.getvalue()).decode()
    return Issued(files, link, f"radsec-{nas['identifier']}.zip")


async def card(scope: Scope, nas: Nas, facts: EngineFacts | None, given: Issued | None = None) -> dict[str, Any]:
    """What the template of the card needs."""
    now = utcnow()
    rows = [row | {"state": certificates.state(row, now)} for row in await certificates.of_device(scope, nas["_id"])]
    ready = facts is not None and facts.radsec_port
    kinds = radsec_config.KINDS if ready and rows else ()
    return {
        "certificates": rows,
        "certificate_columns": COLUMNS,
        "issued": given,
        "radsec": facts if ready else None,
        "radsec_configs": [(key, title, make(nas, facts)) for key, title, make in kinds] if facts else [],
    }
