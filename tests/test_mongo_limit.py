"""Our lines get into the source of SecantusDB's Rust server where they belong, or not at all (tools/mongo_limit.py)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools import mongo_limit


@pytest.fixture
def crates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """What cargo fetched: crates of the very lines before which ours go."""
    places: dict[Path, list[str]] = {}
    found = {}
    for crate, file, line, _ in mongo_limit.additions():
        found[crate] = tmp_path / "registry" / crate
        places.setdefault(found[crate] / file, []).append(line)
    found[mongo_limit.SERVER] = tmp_path / "registry" / mongo_limit.SERVER
    places[found[mongo_limit.SERVER] / "Cargo.toml"] = ["[package]"]
    for path, lines in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["", *lines, ""]))
    monkeypatch.setattr(mongo_limit, "fetched", lambda version, folder: found)
    return found


def test_our_lines_stand_before_theirs(crates: dict[str, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert mongo_limit.main("1.0", made) == ""
    added = list(mongo_limit.additions())
    assert len(added) > 5
    for crate, file, line, ours in added:
        assert f"\n{ours}{line}\n" in (made / crate / file).read_text()
        assert ours not in (crates[crate] / file).read_text()


def test_the_server_is_built_of_the_changed_crates(crates: dict[str, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    mongo_limit.main("1.0", made)
    patched = tomllib.loads((made / mongo_limit.SERVER / "Cargo.toml").read_text())["patch"]["crates-io"]
    assert patched.keys() == {crate for crate, *_ in mongo_limit.additions()}
    assert all((made / mongo_limit.SERVER / crate["path"]).is_dir() for crate in patched.values())


@pytest.mark.parametrize("times", [0, 2])
def test_a_place_that_is_not_just_once_there_ends_it(crates: dict[str, Path], tmp_path: Path, times: int) -> None:
    crate, file, line, _ = next(iter(mongo_limit.additions()))
    (crates[crate] / file).write_text("\n" + f"{line}\n" * times)
    wrong = mongo_limit.main("1.0", tmp_path / "made")
    assert wrong == f"{crate} 1.0: {file} does not have just once the line {line.strip()!r}"
