"""Rules that concern the project as a whole: its collections, its words, what is committed and what is pinned."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from saas import i18n
from saas.schema import COLLECTIONS, Collection, Index
from tests.rules.house import ROOT

# collections


def loose_indexes(collections: Mapping[str, Collection]) -> Iterator[str]:
    """Unique indexes that neither begin with tenant_id nor are declared cloud-wide, and declarations of none."""
    for name, collection in collections.items():
        leading = [index.keys[0][0] for index in collection.indexes if index.unique]
        for field in leading:
            if field != "tenant_id" and field not in collection.cloud_wide:
                yield f"{name}: a unique index begins with {field}"
        for field in set(collection.cloud_wide) - set(leading):
            yield f"{name}: cloud_wide names {field}, with which no unique index begins"


def test_what_is_unique_is_unique_within_a_tenant() -> None:
    reason = "Two tenants with the same names must live side by side; what is unique in the whole cloud says so."
    assert not list(loose_indexes(COLLECTIONS)), reason


def test_a_loose_index_is_caught() -> None:
    by_name = Index((("name", 1),), unique=True)
    by_tenant = Index((("tenant_id", 1), ("name", 1)), unique=True)
    fine = Collection(("tenant_id",), (by_tenant, Index((("name", 1),))))
    cloud = Collection(("tenant_id",), (by_name,), cloud_wide=("name",))
    assert not list(loose_indexes({"fine": fine, "cloud": cloud}))
    loose, empty = (
        Collection(("tenant_id",), (by_name,)),
        Collection(("tenant_id",), (by_tenant,), cloud_wide=("name",)),
    )
    assert list(loose_indexes({"rows": loose})) == ["rows: a unique index begins with name"]
    assert list(loose_indexes({"rows": empty})) == ["rows: cloud_wide names name, with which no unique index begins"]


# words


def untranslated(messages: Iterable[str], catalogue: Mapping[str, str]) -> Iterator[str]:
    """Messages without a translation, and translations with other {names} than their message."""
    for message in messages:
        if not catalogue.get(message):
            yield f"not translated: {message!r}"
        elif names(message) != names(catalogue[message]):
            yield f"other names in braces: {message!r}, {catalogue[message]!r}"


def names(message: str) -> set[str]:
    """The {names} of a message; a message may hold other braces, which are no names."""
    try:
        return {name for _, name, _, _ in Formatter().parse(message) if name}
    except ValueError:
        return set()


@pytest.mark.parametrize("language", [language for language in i18n.LANGUAGES if language != "en"])
def test_every_word_is_translated(language: str) -> None:
    faults = list(untranslated(i18n.used(), i18n.catalogue(language)))
    assert not faults, "\n".join(
        ["Nobody shall meet a page in two languages. `python -m saas.i18n` lists them.", *faults]
    )


def test_messages_are_found_in_code_and_templates(tmp_path: Path) -> None:
    (tmp_path / "saas" / "tenants").mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    (tmp_path / "saas" / "tenants" / "a.py").write_text('title = N_("From the code")\n')
    (tmp_path / "templates" / "a.html").write_text("<p>${_('From a page')}</p>\n% if _('From a line'):\n% endif\n")
    found = set(i18n.used(tmp_path))
    assert found == {"From the code", "From a page", "From a line"}
    assert len(list(untranslated(found, {"From a page": "页面"}))) == 2


def test_a_translation_that_lost_a_name_is_caught() -> None:
    assert list(untranslated(["{n} rows"], {"{n} rows": "行"})) == ["other names in braces: '{n} rows', '行'"]
    assert not list(untranslated(["{n} rows"], {"{n} rows": "{n} 行"}))


# what is committed, and what is pinned

GENERATED = re.compile(r"(^|/)(node_modules|\.venv|__pycache__|[^/]*\.egg-info)/|^static/vendor/|^var/|\.mo$")


def generated(paths: Iterable[str]) -> list[str]:
    """The paths of files that set-up makes."""
    return [path for path in paths if GENERATED.search(path)]


def test_what_setup_makes_is_not_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    reason = "It is made from the locked packages, and a copy would go stale."
    assert not generated(listed.stdout.splitlines()), reason


def test_a_generated_file_is_caught() -> None:
    wrong = ["static/vendor/htmx.min.js", "node_modules/a/b.js", "saas/__pycache__/a.pyc", "var/stores.json"]
    assert generated([*wrong, "static/app.js", "saas/tenants/vars.py", "tools/vendor.mjs"]) == wrong


def addresses(lock: Mapping[str, Any]) -> list[str]:
    """The packages of an npm lock file that say where they were downloaded from."""
    return [name for name, package in lock["packages"].items() if "resolved" in package]


def test_the_npm_lock_names_no_registry() -> None:
    reason = "Which registry serves a package is the reader's setting; the checksum says that it is the same package."
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert not addresses(lock), reason
    assert all("integrity" in package for name, package in lock["packages"].items() if name), reason


def test_a_download_address_is_caught() -> None:
    assert addresses({"packages": {"a": {"resolved": "https://registry.example.com/a.tgz"}, "b": {}}}) == ["a"]


def unpinned(requirements: Iterable[str], constraints: Iterable[str]) -> Iterator[str]:
    """Requirements without a pin, and pins that are more than name==version."""
    pins = [re.fullmatch(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.!+]+", line) for line in constraints]
    yield from (f"not a plain pin: {line}" for line, pin in zip(constraints, pins, strict=True) if not pin)
    known = {plain(pin[1]) for pin in pins if pin}
    yield from (f"not pinned: {name}" for name in requirements if plain(name) not in known)


def plain(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_python_package_is_pinned() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split() + setup["options.extras_require"]["dev"].split()
    constraints = (ROOT / "constraints.txt").read_text().split("\n")[:-1]
    assert not list(unpinned(wanted, constraints)), "Two machines must get the same packages."


def test_an_unpinned_package_is_caught() -> None:
    assert not list(unpinned(["pyjwt", "pydantic-settings"], ["PyJWT==2.0", "pydantic_settings==2.1b3"]))
    assert list(unpinned(["mako"], ["redis==8.1.0"])) == ["not pinned: mako"]
    assert list(unpinned([], ["redis @ file:///redis.whl", "mako>=1"])) == [
        "not a plain pin: redis @ file:///redis.whl",
        "not a plain pin: mako>=1",
    ]
