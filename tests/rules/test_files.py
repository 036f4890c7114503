"""Every file keeps the rules of tests/rules/table.py, and every rule can tell right from wrong."""

from __future__ import annotations

import pytest

from tests.rules.house import Rule, Source, sources
from tests.rules.table import RULES

SAMPLES = [(rule, *sample) for rule in RULES for sample in rule.good]
WRONG = [(rule, *sample) for rule in RULES for sample in rule.bad]


@pytest.fixture(scope="module")
def files() -> list[Source]:
    return list(sources())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_house_keeps_its_rules(rule: Rule, files: list[Source]) -> None:
    faults = [fault for source in files for fault in rule.faults(source)]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(("rule", "path", "text"), SAMPLES, ids=[rule.name for rule, *_ in SAMPLES])
def test_what_is_right_passes(rule: Rule, path: str, text: str) -> None:
    assert rule.faults(Source(path, text)) == []


@pytest.mark.parametrize(("rule", "path", "text"), WRONG, ids=[rule.name for rule, *_ in WRONG])
def test_what_is_wrong_is_caught(rule: Rule, path: str, text: str) -> None:
    assert rule.reason in "".join(rule.faults(Source(path, text)))


def test_the_rules_see_the_project(files: list[Source]) -> None:
    paths = {source.path for source in files}
    assert {"saas/store.py", "tests/conftest.py", "Makefile", "static/icons.txt", "setup.cfg"} <= paths
    assert not [path for path in paths if path.startswith(("node_modules/", ".venv/", "static/vendor/"))]
