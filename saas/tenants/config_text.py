"""What ready-made configuration is made of: facts to put in, blocks to paste. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Where devices send to: host name or address, ports; `interim_interval` in seconds."""

    host: str
    auth_port: int
    acct_port: int
    interim_interval: int
    radsec_port: int = 0  # 0: no RADIUS over TLS


@dataclass(frozen=True, slots=True)
class Snippet:
    """One block to paste: a heading (message id), the file or place it belongs to, the text as it is."""

    title: str
    file: str
    text: str
