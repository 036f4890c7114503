"""A form on its way: the values it shows, the body that was posted, the errors at its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from saas.errors import AppError, Invalid
from saas.handlers.forms import shown
from saas.handlers.forms.fields import FieldInfo, describe
from saas.values import money_text

Choices = Sequence[tuple[str, str]]
M = TypeVar("M", bound=BaseModel)

WIDGETS = frozenset(
    {"text", "textarea", "password", "secret", "identifier", "money", "number", "switch", "date", "moment", "email"}
    | {"select", "multi", "permissions", "file"}
)
CONTROL = frozenset({"_xsrf", "_attempt", "_version", "_next", shown.FIELD})  # what our own page adds to a form
_CODES = {
    "missing": "missing",
    "string_too_short": "too_short",
    "bytes_too_short": "missing",
    "bytes_too_long": "too_big",
    "base64_decode": "bad_format",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "bad_format",
    "too_short": "missing",
    "too_long": "too_long",
    "int_parsing": "not_a_number",
    "int_parsing_size": "not_a_number",
    "int_from_float": "not_a_number",
    "float_parsing": "not_a_number",
    "decimal_parsing": "not_a_number",
    "finite_number": "not_a_number",
    "greater_than": "too_small",
    "greater_than_equal": "too_small",
    "less_than": "too_large",
    "less_than_equal": "too_large",
    "literal_error": "bad_choice",
    "enum": "bad_choice",
    "extra_forbidden": "unknown_field",
    "value_error": "bad_format",
}
_TYPE_ERRORS = ("_type", "_parsing", "_attributes")


@dataclass(slots=True)
class BoundField:
    """A field with what stands in it: `value` as text (a list for "multi", a bool for "switch"), `error` a code."""

    info: FieldInfo
    value: Any
    error: str
    choices: Choices

    @property
    def widget(self) -> str:
        """How it is drawn: as hinted, and where there is a choice as a choice."""
        if self.info.widget in WIDGETS:
            return self.info.widget
        if self.info.kind == "array":
            return "multi"
        return "select" if self.choices else "text"


@dataclass(slots=True)
class Bound(Generic[M]):
    """A form of `model`: `values` and `errors` (codes) by field name; `notice` is an error of the whole form.

    `meanwhile` is what others changed since the page was made, in words.
    """

    model: type[M]
    values: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Choices] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    notice: AppError | None = None
    meanwhile: Sequence[str] = ()
    posted: Mapping[str, Any] | None = None
    version: int | None = None
    attempt: str = ""

    @property
    def fields(self) -> list[BoundField]:
        """Every field, in order."""
        return [
            BoundField(info, self._shown(info), self.errors.get(info.name, ""), self._choices(info))
            for info in describe(self.model)
        ]

    def parse(self, body: Mapping[str, Any]) -> M:
        """The model that `body` makes. Invalid, with a code for each wrong field; the values typed are kept."""
        self.posted = body
        raw: dict[str, Any] = {}
        errors: dict[str, str] = {}
        known = {info.name: info for info in describe(self.model)}
        for name in body.keys() - known.keys() - CONTROL:
            raw[name] = body[name]
        for name, info in known.items():
            try:
                _read(info, body, raw)
            except ValueError as error:
                errors[name] = str(error)
        try:
            form = self.model.model_validate(raw)
        except ValidationError as error:
            raise Invalid(codes(error, known) | errors) from None
        if errors:
            raise Invalid(errors)
        return form

    def fail(self, error: AppError) -> None:
        """Take in what was wrong: fields of Invalid, or the field another error names; the rest heads the form."""
        if isinstance(error, Invalid):
            self.errors = dict(error.fields)
            strangers = self.errors.keys() - {info.name for info in describe(self.model)}
            self.notice = error if strangers or not self.errors else None
        elif "field" in error.data:
            self.errors = {error.data["field"]: error.code}
        else:
            self.notice = error

    def _shown(self, info: FieldInfo) -> Any:
        """What stands in the box: what was typed, else the stored value, else the default. Passwords and files never
        return.
        """
        if info.widget in ("password", "file"):
            return ""
        if self.posted is not None:
            return _typed(info, self.posted.get(info.name))
        return _as_text(info, self.values.get(info.name, info.default))

    def _choices(self, info: FieldInfo) -> Choices:
        if info.name in self.choices:
            return self.choices[info.name]
        labels = info.hints.get("labels", {})
        return [(value, labels.get(value, value)) for value in info.values]


def codes(error: ValidationError, known: Mapping[str, FieldInfo]) -> dict[str, str]:
    """Field name -> stable code, the first error of each field."""
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        found.setdefault(name, _code(problem, known.get(name)))
    return found


def _code(problem: Mapping[str, Any], info: FieldInfo | None) -> str:
    kind, given = str(problem["type"]), problem.get("input")
    if given == "" and kind.startswith("string_"):
        return "missing"
    if info is not None and kind == "value_error" and info.hints.get("format") == "email":
        return "bad_email"
    if kind.startswith("date"):
        return "bad_date"
    if kind in _CODES:
        return _CODES[kind]
    return "bad_type" if kind.endswith(_TYPE_ERRORS) else kind


def _read(info: FieldInfo, body: Mapping[str, Any], raw: dict[str, Any]) -> None:
    """Put the field's posted value into `raw`. ValueError(code) when a text cannot be what it must be."""
    given = body.get(info.name)
    if not _from_html(body):  # JSON: as it is, the model judges
        if info.name in body:
            raw[info.name] = given
    elif given is None:
        if info.kind == "boolean":
            raw[info.name] = False  # an empty check box is not sent
    elif info.kind == "array":
        raw[info.name] = [text for text in given if text]
    elif len(given) != 1:
        raw[info.name] = given
    elif given[0].strip() or (info.kind == "string" and not info.required):
        raw[info.name] = _scaled(info, given[0]) if info.scale != 1 else given[0]


def _from_html(body: Mapping[str, Any]) -> bool:
    """Whether a browser's form sent it: then every value is a list of texts."""
    return all(isinstance(value, list) and all(isinstance(text, str) for text in value) for value in body.values())


def _scaled(info: FieldInfo, text: str) -> int:
    try:
        return int(Decimal(text.strip().replace(",", "")) * info.scale)
    except (InvalidOperation, OverflowError, ValueError):
        raise ValueError("not_a_number") from None


def _typed(info: FieldInfo, given: Any) -> Any:
    if info.kind == "array":
        return given if isinstance(given, list) else []
    if info.kind == "boolean":
        return bool(given)
    first = given[0] if isinstance(given, list) and given else given
    return first if isinstance(first, str | int) else ""


def _as_text(info: FieldInfo, value: Any) -> Any:
    """A stored value as it is typed."""
    if info.kind in ("array", "boolean"):
        return list(value or ()) if info.kind == "array" else bool(value)
    if value is None:
        return ""
    if info.widget == "money":
        return money_text(value)
    if isinstance(value, date):
        return value.isoformat()[:10]
    if info.scale != 1 and isinstance(value, int):
        return f"{Decimal(value) / info.scale:f}"
    return value
