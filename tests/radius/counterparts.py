"""Modules that C takes the place of: the one of Python, and the one that `make compile` made."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from saas import compiled


def counterpart(module: ModuleType, kind: str) -> ModuleType:
    """The module itself where `kind` is "python", its counterpart where that is "c"; skips where there is none."""
    if kind == "python":
        return module
    stamp = compiled.FOLDER / compiled.STAMP
    if not stamp.exists() or stamp.read_text() != compiled.stamp():
        pytest.skip("make compile has not been run since the last change")
    name = module.__name__.rpartition(".")[2]
    (path,) = (compiled.FOLDER / "saas" / "radius").glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
