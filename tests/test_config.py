"""Settings: what is taken, and the one sentence for what is not."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from saas.config import ConfigError, Settings, load

STRONG = "k7Qz2mXv9RtB4nWc8LpD1sFh6GjY3aEu"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENPNS_DATA_DIR", str(tmp_path / "var"))
    return tmp_path / "var"


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence[-1] in ".?"
    return sentence


def test_defaults(folder: Path) -> None:
    settings = load()
    assert (settings.http_port, settings.auth_port, settings.acct_port, settings.radsec_port) == (
        8080,
        1812,
        1813,
        2083,
    )
    assert (settings.bind, settings.public_host, settings.env) == ("127.0.0.1", "127.0.0.1", "development")
    assert (settings.mongo_url, settings.redis_url, settings.smtp_url) == (None, None, None)
    assert settings.data_dir == folder
    assert not settings.production


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPNS_HTTP_PORT", "9000")
    monkeypatch.setenv("OPENPNS_BIND", "::1")
    monkeypatch.setenv("OPENPNS_MONGO_URL", "mongodb://user:word@one:27017,two:27018/?replicaSet=rs0")
    settings = load()
    assert (settings.http_port, settings.bind, settings.public_host) == (9000, "::1", "::1")
    assert settings.mongo_url == "mongodb://user:word@one:27017,two:27018/?replicaSet=rs0"


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPNS_REDIS_URL", "")
    monkeypatch.setenv("OPENPNS_HTTP_PORT", "")
    assert (load().redis_url, load().http_port) == (None, 8080)


def test_arguments_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPNS_HTTP_PORT", "9000")
    assert load(http_port=9001).http_port == 9001


def test_tenants_are_not_told_that_every_address_is_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPNS_BIND", "0.0.0.0")
    assert load().public_host not in ("0.0.0.0", "")
    monkeypatch.setenv("OPENPNS_PUBLIC_HOST", "vpn.example.com")
    assert load().public_host == "vpn.example.com"


@pytest.mark.parametrize("name", ["HTTP_PORT", "AUTH_PORT", "ACCT_PORT", "RADSEC_PORT"])
@pytest.mark.parametrize("value", ["0", "65536", "-1", "abc", "80.5", "１８１２", " "])
def test_a_port_is_a_number(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    name = f"OPENPNS_{name}"
    sentence = refusal(monkeypatch, **{name: value})
    assert sentence == f"{name} must be a port number from 1 to 65535, not '{value}'."


def test_each_listener_needs_its_own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = refusal(monkeypatch, OPENPNS_AUTH_PORT="8080")
    assert sentence == "OPENPNS_HTTP_PORT and OPENPNS_AUTH_PORT are both 8080; each needs its own port."


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("OPENPNS_HTP_PORT", "OPENPNS_HTP_PORT is not a setting; did you mean OPENPNS_HTTP_PORT?"),
        ("OPENPNS_MONGODB_URL", "OPENPNS_MONGODB_URL is not a setting; did you mean OPENPNS_MONGO_URL?"),
        ("openpns_bind", "openpns_bind is not a setting; did you mean OPENPNS_BIND?"),
        ("OPENPNS_QQQQ", "OPENPNS_QQQQ is not a setting; known are OPENPNS_ENV, OPENPNS_BIND"),
    ],
)
def test_a_misspelt_name_is_not_overlooked(monkeypatch: pytest.MonkeyPatch, name: str, answer: str) -> None:
    assert refusal(monkeypatch, **{name: "1"}).startswith(answer)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("OPENPNS_MONGO_URL", "http://host", "mongodb:// or mongodb+srv://"),
        ("OPENPNS_MONGO_URL", "mongodb://", "names a host"),
        ("OPENPNS_REDIS_URL", "localhost:6379", "redis:// or rediss://"),
        ("OPENPNS_REDIS_URL", "redis://host:99999", "redis:// or rediss://"),
        ("OPENPNS_SMTP_URL", "mail.example.com", "smtp:// or smtps://"),
        ("OPENPNS_ENV", "prod", "development or production"),
        ("OPENPNS_BIND", "localhost", "IP address"),
        ("OPENPNS_MAIL_FROM", "OpenPNS <a@example.com>", "plain mail address"),
        ("OPENPNS_MAIL_FROM", "example.com", "plain mail address"),
    ],
)
def test_wrong_values_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str) -> None:
    sentence = refusal(monkeypatch, **{name: value})
    assert sentence.startswith(f"{name} must be ") and part in sentence


def test_passwords_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in refusal(monkeypatch, OPENPNS_REDIS_URL="rdis://user:hunter2@host")
    urls = {
        f"{name}_url": f"{scheme}://user:hunter2@host"
        for name, scheme in (("redis", "redis"), ("mongo", "mongodb"), ("smtp", "smtp"))
    }
    assert "hunter2" not in repr(load(**urls, secret_key="hunter2"))


def test_the_data_folder_is_private(folder: Path) -> None:
    load()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_data_folder_that_is_a_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("")
    assert "cannot be made" in refusal(monkeypatch)
    assert "cannot be made" in refusal(monkeypatch, OPENPNS_DATA_DIR=str(folder / "below"))


def test_a_data_folder_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, OPENPNS_DATA_DIR="/proc/self").endswith("cannot be written.")


def test_the_secret_key_is_generated_once_and_kept(folder: Path) -> None:
    key = load().secret_key
    path = folder / "secret.key"
    assert len(key) == 64 and path.read_text() == f"{key}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load().secret_key == key
    assert sorted(entry.name for entry in folder.iterdir()) == ["secret.key"]


def test_processes_that_start_together_get_the_same_key(folder: Path) -> None:
    program = "import sys; from saas.config import load; sys.stdin.readline(); print(load().secret_key)"
    command = [sys.executable, "-c", program]
    crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in crowd:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate()[0].strip() for process in crowd}
    assert keys == {(folder / "secret.key").read_text().strip()}
    assert sorted(entry.name for entry in folder.iterdir()) == ["secret.key"]


def test_a_key_in_the_environment_is_used_and_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPNS_SECRET_KEY", STRONG)
    assert load().secret_key == STRONG
    assert not (folder / "secret.key").exists()


@pytest.mark.parametrize("key", ["short", "a" * 64, "abcabcabc" * 8, STRONG[:31]])
def test_production_refuses_a_weak_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENPNS_SECRET_KEY", key)
    assert load().secret_key == key  # good enough for a first look
    sentence = refusal(monkeypatch, OPENPNS_ENV="production")
    assert sentence.startswith("OPENPNS_SECRET_KEY is too weak for production") and key not in sentence.split()


def test_production_refuses_a_weak_key_in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "secret.key").write_text("changeme\n")
    assert "secret.key is too weak" in refusal(monkeypatch, OPENPNS_ENV="production")


def test_production_takes_strong_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENPNS_ENV", "production")
    assert load().production
    monkeypatch.setenv("OPENPNS_SECRET_KEY", STRONG)
    assert load().secret_key == STRONG


def test_an_empty_key_file_is_not_a_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "secret.key").write_text("")
    assert refusal(monkeypatch).endswith("is empty; restore the file from a backup.")


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(http_port=9001, bind="::1", smtp_url="smtp://mail.example.com:25")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load() == settings


def test_settings_do_not_change() -> None:
    settings: Settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]
