"""Password hashes, sealed secrets, signatures."""

from __future__ import annotations

import importlib.util

import pytest

from saas import security
from saas.security import Keys, Unsealable


def test_passwords_are_hashed_as_owasp_asks() -> None:
    fresh = importlib.util.find_spec("saas.security")
    assert fresh is not None and fresh.loader is not None
    module = importlib.util.module_from_spec(fresh)
    fresh.loader.exec_module(module)
    assert module.hash_password("a password").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_is_known_by_its_hash_only() -> None:
    hashed = security.hash_password("right")
    assert "right" not in hashed
    assert security.check_password(hashed, "right")
    assert not security.check_password(hashed, "wrong")
    assert not security.check_password(None, "right")
    assert not security.check_password("no hash at all", "right")


def test_a_sealed_secret_opens_for_its_tenant_and_key_only() -> None:
    keys = Keys("one key")
    sealed = keys.seal("ten_1", "secret")
    assert b"secret" not in sealed and sealed != keys.seal("ten_1", "secret")
    assert keys.unseal("ten_1", sealed) == "secret"
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for keys_, tenant, octets in ((keys, "ten_2", sealed), (Keys("other"), "ten_1", sealed), (keys, "ten_1", altered)):
        with pytest.raises(Unsealable):
            keys_.unseal(tenant, octets)
    with pytest.raises(Unsealable):
        keys.unseal("ten_1", b"")


def test_wrapped_octets_open_for_their_purpose_and_context_only() -> None:
    keys = Keys("one key")
    wrapped = keys.wrap("state", b"\0octets", b"context")
    assert len(wrapped) == 7 + 28 and wrapped != keys.wrap("state", b"\0octets", b"context")
    assert keys.unwrap("state", wrapped, b"context") == b"\0octets"
    for keys_, purpose, context in (
        (Keys("other"), "state", b"context"),
        (keys, "a", b"context"),
        (keys, "state", b""),
    ):
        with pytest.raises(Unsealable):
            keys_.unwrap(purpose, wrapped, context)


def test_keys_of_different_purposes_differ() -> None:
    keys = Keys("one key")
    assert len({keys.key("a"), keys.key("b"), Keys("other").key("a")}) == 3
    assert keys.sign("a", b"data") == keys.sign("a", b"data") != keys.sign("b", b"data")


def test_the_nt_hash_is_the_rfcs() -> None:
    assert security.nt_hash("clientPass").hex() == "44ebba8d5312b8d611474411f56989ae"  # RFC 2759 section 9.2


def test_made_secrets_are_readable_and_different() -> None:
    made = {security.new_secret(10) for _ in range(200)}
    assert len(made) == 200
    assert not set("".join(made)) & set("il1o0")
    assert all(len(code) == 6 and code.isdigit() for code in (security.new_code() for _ in range(50)))
