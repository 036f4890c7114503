"""What a form's model says of its fields, as needed to draw and to read them.

Hints stand in ``Field(json_schema_extra={…})``:

- ``widget``: text, textarea, password, secret (generate and copy), money, number, switch, select, multi, date, moment
  (a date with a time), email, file (it arrives as base64)
- ``scale``: the field is stored as this many units for each one typed, e.g. 1_000_000 for Mbps kept as bit/s
- ``unit``: message id of what stands behind the box, e.g. "Mbps"
- ``zero``: message id that is printed where the value is 0, e.g. "never"
- ``seconds``: the number is a time, which is told in words too where it is shown
- ``labels``: value -> message id, for the choices of a Literal
- ``group``: message id; fields of one group are folded away under that heading
- ``when``: (field, choice, …): shown only while that field has one of the choices, where scripts run
- ``optional``: False where a field without a value is wrong all the same, for some choices of another one
- ``rows``: how high a textarea is
- ``placeholder``, ``autocomplete``, ``accept``: as in HTML
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel

_FORMATS = {"email": "email", "date": "date", "password": "password"}
_TYPES = {"boolean": "switch", "integer": "number", "number": "number", "array": "multi"}
LONG_TEXT = 200


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a model. `kind` is the JSON type; `limits` hold max_length, min_length, minimum, maximum."""

    name: str
    title: str
    help: str
    widget: str
    kind: str
    required: bool
    default: Any
    limits: Mapping[str, Any]
    values: tuple[str, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scale(self) -> int:
        """Stored units for each one typed."""
        return int(self.hints.get("scale", 1))


@cache
def describe(model: type[BaseModel]) -> tuple[FieldInfo, ...]:
    """The fields of a model, in their order."""
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    whole = {name: _flat(part, schema.get("$defs", {})) for name, part in schema.get("properties", {}).items()}
    return tuple(_info(name, part, name in required, model) for name, part in whole.items())


def labels(model: type[BaseModel], name: str) -> Mapping[str, str]:
    """Value -> message id of a field's choices, for showing a stored value."""
    found: Mapping[str, str] = next(info.hints["labels"] for info in describe(model) if info.name == name)
    return found


def _info(name: str, part: Mapping[str, Any], required: bool, model: type[BaseModel]) -> FieldInfo:
    declared = model.model_fields[name]
    return FieldInfo(
        name=name,
        title=declared.title or name,
        help=declared.description or "",
        widget=part.get("widget") or _widget(name, part),
        kind=part.get("type", "string"),
        required=required,
        default=None if required else declared.get_default(call_default_factory=True),
        limits=_limits(part),
        values=tuple(str(value) for value in part.get("enum", part.get("items", {}).get("enum", ()))),
        hints=part,
    )


def _flat(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A property without indirection: references followed, "or null" left out."""
    flat = dict(part)
    if "$ref" in flat:
        flat = {**definitions[flat.pop("$ref").rsplit("/", 1)[1]], **flat}
    variants = [v for v in flat.pop("anyOf", ()) if v.get("type") != "null"]
    if variants:
        flat = {**_flat(variants[0], definitions), **flat}
    if "const" in flat:
        flat["enum"] = [flat["const"]]
    if "items" in flat:
        flat["items"] = _flat(flat["items"], definitions)
    return flat


def _widget(name: str, part: Mapping[str, Any]) -> str:
    if part.get("type") == "array":
        return "multi"
    if "enum" in part:
        return "select"
    if part.get("format") in _FORMATS:
        return _FORMATS[part["format"]]
    if part.get("type") in _TYPES:
        return _TYPES[part["type"]]
    if name.endswith("password"):
        return "password"
    return "textarea" if part.get("maxLength", 0) > LONG_TEXT else "text"


def _limits(part: Mapping[str, Any]) -> dict[str, Any]:
    """Limits in the units that are typed."""
    scale = int(part.get("scale", 1))
    limits = {"max_length": part.get("maxLength"), "min_length": part.get("minLength")}
    minimum, maximum = part.get("minimum", part.get("ge")), part.get("maximum", part.get("le"))
    if part.get("widget") == "money":
        scale = 100
    limits |= {"minimum": _scaled(minimum, scale), "maximum": _scaled(maximum, scale)}
    return {name: value for name, value in limits.items() if value is not None}


def _scaled(value: Any, scale: int) -> Any:
    return value if value is None or scale == 1 else f"{value / scale:g}" if value % scale else value // scale
