"""What was compiled is used where it fits the sources, and never otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from saas import compiled
from tests.service import Service

SHOW = """
import sys
from pathlib import Path
from saas import compiled

compiled.FOLDER = Path(sys.argv[1])
print(compiled.use())
import saas.radius.gate
print(saas.radius.gate.__file__)
"""


def shown(folder: Path) -> list[str]:
    """Whether a fresh process uses what lies in a folder, and from where it has a module."""
    done = subprocess.run([sys.executable, "-c", SHOW, str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_without_anything_compiled_the_sources_run(tmp_path: Path) -> None:
    assert shown(tmp_path) == ["False", str(compiled.HERE / "radius" / "gate.py")]


def test_what_was_made_from_other_sources_is_not_used(tmp_path: Path) -> None:
    (tmp_path / compiled.STAMP).write_text("of yesterday")
    assert shown(tmp_path) == ["False", str(compiled.HERE / "radius" / "gate.py")]


def test_what_fits_comes_first(tmp_path: Path) -> None:
    (tmp_path / compiled.STAMP).write_text(compiled.stamp())
    module = tmp_path / "saas" / "radius" / "gate.py"
    module.parent.mkdir(parents=True)
    module.touch()
    assert shown(tmp_path) == ["True", str(module)]


def test_the_modules_are_there_and_none_is_named_twice() -> None:
    assert all(path.exists() for path in compiled.files())
    assert sorted(set(compiled.MODULES)) == sorted(compiled.MODULES)


@pytest.mark.slow
async def test_the_whole_service_ends_without_a_word(tmp_path: Path) -> None:
    """What is compiled checks types when it runs: no library's answer may be another than its type says."""
    service = Service(tmp_path)
    for _ in range(2):
        await service.start()
        assert await service.stop() == 0
        assert "Traceback" not in (tmp_path / "run.log").read_text()


def test_what_make_compile_made_is_used() -> None:
    if not (compiled.FOLDER / compiled.STAMP).exists():
        pytest.skip("nothing is compiled: make compile")
    fits, module = shown(compiled.FOLDER)
    assert fits == "True", "the sources changed since: make compile"
    assert module.startswith(str(compiled.FOLDER)) and module.endswith(".so")
