"""The source of SecantusDB's Rust server with our lines in it: ``mongo_limit.py VERSION FOLDER``, for ``make mongo``.

The crates are fetched by cargo, as they are published; those that mongo_limit.rs adds to are copied into the folder,
and ``FOLDER/secantus-mdb`` is what to build. Exit status 1 with a sentence when a place for lines is not found.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SERVER = "secantus-mdb"
LINES = Path(__file__).with_suffix(".rs")
FETCH = '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "/dev/null"\n'


def fetched(version: str, folder: Path) -> dict[str, Path]:
    """Where cargo keeps each of the packages that the server is made of."""
    folder.mkdir()
    manifest = folder / "Cargo.toml"
    manifest.write_text(f'{FETCH}[dependencies]\n{SERVER} = "={version}"\n')
    command = ["cargo", "metadata", "--quiet", "--format-version", "1", "--manifest-path", str(manifest)]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {package["name"]: Path(package["manifest_path"]).parent for package in told["packages"]}


def additions() -> Iterator[tuple[str, str, str, str]]:
    """Crate, file in it, the line before which lines go, and these."""
    _, *parts = re.split(r"^//@ ", LINES.read_text(), flags=re.MULTILINE)
    for part in parts:
        place, lines = part.split("\n", 1)
        crate, file, line = place.split(" ", 2)
        yield crate, file, line, lines


def main(version: str, folder: Path) -> str:
    """Make the folder anew. Answers what is wrong, "" when nothing is."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    there = fetched(version, folder / "fetch")
    changed = {crate for crate, *_ in additions()}
    for crate in {SERVER, *changed}:
        shutil.copytree(there[crate], folder / crate)
    for crate, file, line, lines in additions():
        path = folder / crate / file
        text = path.read_text()
        if text.split("\n").count(line) != 1:
            return f"{crate} {version}: {file} does not have just once the line {line.strip()!r}"
        path.write_text(text.replace(f"\n{line}\n", f"\n{lines}{line}\n"))
    with (folder / SERVER / "Cargo.toml").open("a") as manifest:
        manifest.write("\n[patch.crates-io]\n" + "".join(f'{crate} = {{ path = "../{crate}" }}\n' for crate in changed))
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])) or 0)
