"""Compile the path of packets: ``make compile``. saas/compiled.py tells what that is and who uses it.

Works in a temporary folder and puts the outcome into .compiled at once and whole. Exit status 1 with the compiler's
words when it fails; then nothing is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from saas import compiled  # noqa: E402

# What mypyc needs to know of libraries without types is that they have none: the types are checked by `make check`.
CONFIGURATION = "[mypy]\nignore_missing_imports = True\nfollow_imports = silent\nplugins = pydantic.mypy\n"
BUILD = """
import sys
from mypyc.build import mypycify
from setuptools import Extension, setup

modules = mypycify(sys.argv.pop().split(","), opt_level="3", debug_level="0")
for path in sys.argv.pop().split(","):
    modules.append(Extension(path.removesuffix(".c").replace("/", "."), [path], extra_compile_args=["-O3", "-Wall"]))
setup(name="compiled", packages=[], ext_modules=modules)
"""


def main() -> int:
    """Compile what has changed since the last time."""
    stamp = compiled.stamp()
    kept = compiled.FOLDER / compiled.STAMP
    if kept.exists() and kept.read_text() == stamp:
        return 0
    with tempfile.TemporaryDirectory(prefix="openpns-compile-") as name:
        work = Path(name)
        shutil.copytree(compiled.HERE, work / "saas", ignore=shutil.ignore_patterns("__pycache__"))
        (work / "mypy.ini").write_text(CONFIGURATION)
        (work / "build.py").write_text(BUILD)
        extensions, modules = compiled.files(compiled.EXTENSIONS, ".c"), compiled.files()
        sources = [",".join(str(path.relative_to(ROOT)) for path in paths) for paths in (extensions, modules)]
        command = [sys.executable, "build.py", "-q", "build_ext", "--build-lib", "made", *sources]
        done = subprocess.run(command, cwd=work, env={**os.environ, "CFLAGS": "-w"}, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout[-3000:], done.stderr[-3000:], sep="\n", file=sys.stderr)
            return 1
        (work / "made" / compiled.STAMP).write_text(stamp)
        shutil.rmtree(compiled.FOLDER, ignore_errors=True)
        shutil.copytree(work / "made", compiled.FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
