"""The shape of input: what a person or a program sends, for HTML and JSON alike.

Titles and descriptions are message ids; the edge translates them. Rules that need stored data (state, quota, money)
are the operation's.
"""

from __future__ import annotations

import ipaddress
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, StringConstraints
from pydantic_core import PydanticCustomError

from saas.tenants.ports import normal_vlan
from saas.values import normal_address, normal_mac, parse_money


class Form(BaseModel):
    """Base of all input: unknown fields are refused, texts are trimmed, numbers may come as text."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)


def _plain(text: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise PydanticCustomError("control_characters", "control characters")
    return text


def _no_markup(text: str) -> str:
    if "<" in text or ">" in text:
        raise PydanticCustomError("markup", "markup")
    return text


def _address(text: str) -> str:
    if not text:
        return ""
    try:
        return normal_address(text)
    except ValueError:
        raise PydanticCustomError("bad_address", "bad address") from None


def _address4(text: str) -> str:
    if ":" in _address(text):
        raise PydanticCustomError("bad_address", "bad address")
    return _address(text)


def _address6(text: str) -> str:
    """An IPv6 address, or a prefix with its length."""
    if not text:
        return ""
    try:
        return str(ipaddress.IPv6Network(text) if "/" in text else ipaddress.IPv6Address(text))
    except ValueError:
        raise PydanticCustomError("bad_address6", "bad address") from None


def _prefix6(text: str) -> str:
    if text and "/" not in text:
        raise PydanticCustomError("bad_prefix", "bad prefix")
    return _address6(text)


def _mac(text: str) -> str:
    if text and not normal_mac(text):
        raise PydanticCustomError("bad_mac", "bad MAC address")
    return normal_mac(text)


def _vlan(text: str) -> str:
    if text and not normal_vlan(text):
        raise PydanticCustomError("bad_vlan", "bad VLAN")
    return normal_vlan(text)


def _long_enough(text: str) -> str:
    if text and len(text) < 6:
        raise PydanticCustomError("too_short", "too short", {"min_length": 6})
    return text


def _money(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_money(value)
    except ValueError as error:
        raise PydanticCustomError(str(error), "bad amount") from None


def _none(value: Any) -> Any:
    return None if value == "" else value


Line = Annotated[str, StringConstraints(max_length=64), AfterValidator(_plain), AfterValidator(_no_markup)]
Name = Annotated[Line, Field(min_length=1)]
Note = Annotated[str, StringConstraints(max_length=500), AfterValidator(_no_markup)]
Prose = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_no_markup)]
Login = Annotated[str, StringConstraints(min_length=2, max_length=64, pattern=r"^[A-Za-z0-9._@+\-]+$")]
Password = Annotated[str, Field(min_length=6, max_length=128), AfterValidator(_plain)]
OptionalPassword = Annotated[str, Field(max_length=128), AfterValidator(_plain), AfterValidator(_long_enough)]
Address = Annotated[str, Field(max_length=45), AfterValidator(_address)]
Address4 = Annotated[str, Field(max_length=45), AfterValidator(_address4)]
Address6 = Annotated[str, Field(max_length=49), AfterValidator(_address6)]  # or a prefix
Prefix6 = Annotated[str, Field(max_length=49), AfterValidator(_prefix6)]
Mac = Annotated[str, Field(max_length=32), AfterValidator(_mac)]
Vlan = Annotated[str, Field(max_length=11), AfterValidator(_vlan)]
_HOST_NAME = r"^$|^([A-Za-z0-9]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,}$"
HostName = Annotated[str, StringConstraints(max_length=253, pattern=_HOST_NAME, to_lower=True)]
Money = Annotated[int, BeforeValidator(_money), Field(ge=0, le=10**12, json_schema_extra={"widget": "money"})]
Username = Annotated[Login, StringConstraints(to_lower=True)]
Email = Annotated[EmailStr, StringConstraints(max_length=128, to_lower=True)]
OptionalEmail = Email | Literal[""]
OptionalDate = Annotated[date | None, BeforeValidator(_none)]
Mobile = Annotated[str, StringConstraints(max_length=20, pattern=r"^[0-9+\- ]*$")]
