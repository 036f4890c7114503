"""The only door to the template engine.

Everything a template prints is escaped; only `Markup` passes as it is; None prints as nothing; an unknown name is an
error. A page inherits from layout/page.html, which takes the layout that the handler names, so that one template serves
both the whole document and the fragment htmx asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mako.lookup import TemplateLookup
from mako.runtime import Context, capture
from mako.util import FastEncodingBuffer
from markupsafe import Markup, escape

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def safe(value: Any) -> Markup:
    """What a template prints for `value`."""
    return Markup("") if value is None else escape(value)


def attributes(values: dict[str, Any]) -> Markup:
    """HTML attributes: None and False are left out, True stands bare; `hx_post` becomes `hx-post`."""
    parts: list[Markup] = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        parts.append(Markup(" {}").format(name) if value is True else Markup(' {}="{}"').format(name, value))
    return Markup("").join(parts)


class Pages:
    """Templates by name; compiled once, in debug read again when their file changes."""

    def __init__(self, root: Path = TEMPLATES, debug: bool = False) -> None:
        self._lookup = TemplateLookup(
            directories=[str(root)],
            default_filters=["safe"],
            imports=["from saas.handlers.page import attributes, safe"],
            input_encoding="utf-8",
            strict_undefined=True,
            filesystem_checks=debug,
        )

    def render(self, template: str, **context: Any) -> str:
        """The text of `template`, e.g. "admin/nas/list.html". There, `capture(def, …)` is a component as a value."""
        buffer = FastEncodingBuffer()
        page = Context(buffer, **context)
        # The engine's own gives plain text, which would be escaped a second time.
        page._data["capture"] = lambda *args, **named: Markup(capture(page, *args, **named))
        self._lookup.get_template(f"/{template}").render_context(page)
        return str(buffer.getvalue())
