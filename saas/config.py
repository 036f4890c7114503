"""Typed settings from the environment; the only reader of os.environ.

`load()` answers settings that can be used as they are (checked, data folder made, secret key present), or raises
ConfigError with one sentence for whoever typed the command.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from difflib import get_close_matches
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "OPENPNS_"
ENVIRONMENTS = ("development", "production")
KEY_LENGTH, KEY_VARIETY = 32, 10  # least characters of a secret key, and least different ones


class ConfigError(Exception):
    """The settings cannot be used. The text is one sentence that names the setting and what it should be."""


def _port(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValueError(f"must be a port number from 1 to 65535, not '{text}'")
    return int(text)


def _count(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"must be a whole number, not '{text}'")
    return int(text)


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(f"must be an IP address such as 127.0.0.1, 0.0.0.0 or ::, not '{value}'") from None


def _environment(value: str) -> str:
    if value not in ENVIRONMENTS:
        raise ValueError(f"must be {' or '.join(ENVIRONMENTS)}, not '{value}'")
    return value


def _mail_address(value: str) -> str:
    name, address = parseaddr(value)
    if name or address != value or not all(address.rpartition("@")):
        raise ValueError(f"must be a plain mail address such as no-reply@example.com, not '{value}'")
    return value


def _complete(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        # MongoDB's URLs may list several hosts, each with its port, which urlsplit does not take apart
        return parts.scheme in schemes and bool(parts.hostname) and ("," in parts.netloc or parts.port != 0)
    except ValueError:
        return False


def _url(*schemes: str) -> AfterValidator:
    """A URL of one of these schemes. The message never repeats the value: it may hold a password."""
    names = " or ".join(f"{scheme}://" for scheme in schemes)

    def check(value: str | None) -> str | None:
        if value is not None and not _complete(value, schemes):
            raise ValueError(f"must be a URL that begins with {names} and names a host")
        return value

    return AfterValidator(check)


def _shown_host(data: Mapping[str, Any]) -> str:
    """Tenants are shown the address that is listened on; "every address" is none that could be typed anywhere."""
    bind = str(data["bind"])
    return socket.gethostname() if ip_address(bind).is_unspecified else bind


Port = Annotated[int, BeforeValidator(_port)]


class Settings(BaseSettings):
    """Every setting, named in the environment by its name in capitals after OPENPNS_. Empty means not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    env: Annotated[str, AfterValidator(_environment)] = "development"
    bind: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    # host name or address that tenants are told for their devices and browsers
    public_host: str = Field(default_factory=_shown_host)
    http_port: Port = 8080
    auth_port: Port = 1812
    acct_port: Port = 1813
    radsec_port: Port = 2083
    # packets a second that one tenant may send to a port of one worker; 0: without limit
    tenant_rate: Annotated[int, BeforeValidator(_count)] = 5_000
    # accounts that one worker remembers, about 2 kB each
    cached_accounts: Annotated[int, BeforeValidator(_count)] = 200_000
    data_dir: Path = Path("var")
    # None: embedded, over the data folder
    mongo_url: Annotated[str | None, _url("mongodb", "mongodb+srv")] = Field(default=None, repr=False)
    redis_url: Annotated[str | None, _url("redis", "rediss")] = Field(default=None, repr=False)
    # where concurrent sessions are counted, which may be lost and needs no disk; None: in redis_url
    slots_url: Annotated[str | None, _url("redis", "rediss")] = Field(default=None, repr=False)
    # None: mail goes to the log and to data_dir/mail
    smtp_url: Annotated[str | None, _url("smtp", "smtps")] = Field(default=None, repr=False)
    mail_from: Annotated[str, AfterValidator(_mail_address)] = "openpns@localhost"
    secret_key: str = Field(default="", repr=False)

    @property
    def production(self) -> bool:
        """Whether strangers depend on it: weak keys are refused, cookies are for https alone."""
        return self.env == "production"

    def environment(self) -> dict[str, str]:
        """The environment for a process that shall have these very settings."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {**os.environ, **{PREFIX + name.upper(): str(v) for name, v in values.items() if v is not None}}

    @model_validator(mode="after")
    def _one_port_each(self) -> Settings:
        seen: dict[int, str] = {}
        for name in ("http_port", "auth_port", "acct_port", "radsec_port"):
            port = getattr(self, name)
            if port in seen:
                raise ValueError(
                    f"{PREFIX}{seen[port].upper()} and {PREFIX}{name.upper()} are both {port}; each needs its own port"
                )
            seen[port] = name
        return self


def load(**values: Any) -> Settings:
    """The settings, `values` before the environment. Makes the data folder and the secret key where missing.

    ConfigError: a sentence for the user; nothing was started.
    """
    _refuse_unknown(os.environ)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None
    folder = _data_folder(settings.data_dir)
    key = settings.secret_key or _kept_key(folder)
    if settings.production and (len(key) < KEY_LENGTH or len(set(key)) < KEY_VARIETY):
        where = f"{PREFIX}SECRET_KEY" if settings.secret_key else f"The key in {folder / 'secret.key'}"
        least = f"at least {KEY_LENGTH} characters, {KEY_VARIETY} of them different"
        raise ConfigError(f"{where} is too weak for production: it needs {least}.")
    return settings.model_copy(update={"data_dir": folder, "secret_key": key})


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt name would be a setting silently not made."""
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted(environ):
        rest = name.upper().removeprefix(PREFIX)
        if rest != name.upper() and name not in (PREFIX + setting for setting in known):
            near = get_close_matches(rest, known, n=1)
            hint = (
                f"did you mean {PREFIX}{near[0]}?"
                if near
                else f"known are {', '.join(PREFIX + setting for setting in known)}."
            )
            raise ConfigError(f"{name} is not a setting; {hint}")


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = PREFIX + str(first["loc"][0]).upper() + " " if first["loc"] else ""
    reason = first.get("ctx", {}).get("error", first["msg"])
    return f"{name}{reason}."


def _data_folder(path: Path) -> Path:
    """The folder's absolute path; made when missing, for this user alone."""
    folder = path.expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{PREFIX}DATA_DIR: the folder {folder} cannot be made ({error.strerror}).") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"{PREFIX}DATA_DIR: the folder {folder} cannot be written.")
    return folder


def _kept_key(folder: Path) -> str:
    """The key of data_dir/secret.key, made on first start.

    The file appears at once and whole, by a hard link: of two processes that start together one wins and both read
    the same key.
    """
    path = folder / "secret.key"
    try:
        if not path.exists():
            _place(path, secrets.token_urlsafe(48))
        key = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"The secret key in {path} cannot be kept ({error.strerror}).") from None
    if not key:
        raise ConfigError(f"The secret key in {path} is empty; restore the file from a backup.")
    return key


def _place(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
