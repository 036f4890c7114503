"""What can go wrong, as codes and data. Words are chosen at the edge, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AppError(Exception):
    """A refusal with a stable code.

    `code` is part of the API: it never changes once released. `data` holds plain values for the message.
    """

    code = "error"

    def __init__(self, code: str = "", **data: Any) -> None:
        self.code = code or type(self).code
        self.data = data
        super().__init__(self.code)


class NotFound(AppError):
    """No such object for this actor. Another tenant's object is indistinguishable from none."""

    code = "not_found"


class Denied(AppError):
    """The actor lacks a permission, or may not log in."""

    code = "denied"


class Invalid(AppError):
    """Input that cannot be taken. `fields` maps a field's name to a code such as "missing" or "too_long"."""

    code = "invalid"

    def __init__(self, fields: Mapping[str, str], **data: Any) -> None:
        self.fields = dict(fields)
        super().__init__(**data)


class Conflict(AppError):
    """The object is not in a state that allows this: changed meanwhile, taken, in use."""

    code = "conflict"


class Limit(AppError):
    """Too many attempts, or the tier's limit is reached. `data["retry_after"]` in seconds where waiting helps."""

    code = "limit"


class Taken(Invalid):
    """A unique value is in use already; `field` is the name of the field that must differ."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__({field: "taken"})


class Unavailable(AppError):
    """A store does not answer. Nothing was done, or it is not known whether: repeat idempotently."""

    code = "unavailable"
