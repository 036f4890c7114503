"""`openpns run` as a process, over a folder of its own: for the smoke story and the crash tests."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from email import message_from_bytes
from html import unescape
from pathlib import Path
from typing import Any

from tests.support import free_ports, until

ROOT = Path(__file__).resolve().parents[1]
PORTS = ("HTTP", "AUTH", "ACCT", "RADSEC")


class Failed(Exception):
    """The story did not go as it should; the text says where."""


def found(pattern: str, page: str, what: str) -> str:
    """The first group of a pattern in a page."""
    match = re.search(pattern, page)
    if match is None:
        raise Failed(f"{what} is not on the page")
    return unescape(match.group(1))


class Service:
    """`openpns run` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = dict(zip(PORTS, free_ports(4), strict=True))
        self._process: asyncio.subprocess.Process | None = None

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.ports['HTTP']}"

    async def start(self) -> None:
        """Start and wait until it says that it is up."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENPNS_")}
        ports = {f"OPENPNS_{name}_PORT": str(port) for name, port in self.ports.items()}
        ours = {"OPENPNS_DATA_DIR": str(self.data), "PYTHONPATH": str(ROOT)}  # this tree, whatever is installed
        log = self.folder / "run.log"
        with log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "saas", "run"),
                env={**clean, **ports, **ours},
                cwd=ROOT,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        process = self._process
        await until(lambda: b"OpenPNS is up" in log.read_bytes() or process.returncode is not None, "it is up", 90)
        if process.returncode is not None:
            raise Failed("the service ended: " + log.read_text()[-2000:])

    async def stop(self) -> int:
        """Ctrl-C; how many processes of it are left."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGINT)
            await asyncio.wait_for(self._process.wait(), 60)
        return len(self.pids(""))

    def pids(self, word: str) -> list[int]:
        """Its processes whose command line holds `word`."""
        mine = f"OPENPNS_DATA_DIR={self.data}".encode()
        every = [path for path in Path("/proc").glob("[0-9]*") if path.name != str(os.getpid())]
        # Valkey writes its title over its environment: it is known by the folder that it works in
        processes = [path for path in every if mine in _read(path / "environ") or self.data in _folder(path).parents]
        return [int(path.name) for path in processes if word in _read(path / "cmdline").replace(b"\0", b" ").decode()]

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "var"

    def mailed_code(self) -> str:
        """The code in the newest mail."""
        mails = sorted((self.data / "mail").glob("*.eml"))
        payload: Any = message_from_bytes(mails[-1].read_bytes()).get_payload(decode=True)
        return found(r"(\d{6})", payload.decode(), "the code")


def _folder(process: Path) -> Path:
    try:
        return (process / "cwd").readlink()
    except OSError:
        return Path()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
