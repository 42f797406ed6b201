"""Sealed texts: what opens them, what they tell, and how they outlive a change of keys."""

from __future__ import annotations

import base64

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.test import override_settings

from backend.core import crypto

OLD, NEW = "an encryption key of last year, 32+", "an encryption key of this year, 32+"


def former(text: str, secret: str) -> str:
    """As texts were sealed before keys had names."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"karibu sealed texts, v1").derive(
        secret.encode()
    )
    return crypto.FORMER + Fernet(base64.urlsafe_b64encode(key)).encrypt(text.encode()).decode()


def test_seal_hides_the_text_and_unseal_gives_it_back() -> None:
    first, second = crypto.seal("Öse 1, 00100 Nairobi"), crypto.seal("Öse 1, 00100 Nairobi")

    assert first != second
    assert "Nairobi" not in first
    assert crypto.unseal(first) == crypto.unseal(second) == "Öse 1, 00100 Nairobi"


@pytest.mark.parametrize(
    "text", ["", "host@example.com", "sealed:v1:", "sealed:v2:", "sealed:v3:00000000::AAAA"]
)
def test_unseal_refuses_what_is_not_sealed(text: str) -> None:
    with pytest.raises(crypto.NotSealed):
        crypto.unseal(text)


def test_unseal_refuses_what_was_changed() -> None:
    sealed = crypto.seal("+254712345678", index="phone:+254712345678")
    head, key, index, content = sealed.rsplit(":", 3)
    other = crypto.seal("+254712345679", index="phone:+254712345679")

    for changed in (
        sealed[:-1],
        sealed[:-4],
        f"{head}:{key}:{other.split(':')[3]}:{content}",
        f"{head}:{key}::{content}",
        f"{head}:{key}:{index}:{other.split(':')[4]}",
        f"{head}:{'0' * 8}:{index}:{content}",
    ):
        with pytest.raises(crypto.NotSealed):
            crypto.unseal(changed)
    assert crypto.unseal(sealed) == "+254712345678"


def test_without_encryption_keys_the_secret_key_seals_and_its_fallbacks_open() -> None:
    sealed = crypto.seal("x")
    with override_settings(SECRET_KEY="another-key", SECRET_KEY_FALLBACKS=[]):
        with pytest.raises(crypto.NotSealed):
            crypto.unseal(sealed)
        newer = crypto.seal("y")
    with override_settings(SECRET_KEY="third", SECRET_KEY_FALLBACKS=["another-key"]):
        assert crypto.name_of(newer) != crypto.present().name
        renewed = crypto.reseal(newer)
        assert crypto.name_of(renewed) == crypto.present().name
    with override_settings(SECRET_KEY="third", SECRET_KEY_FALLBACKS=[]):
        assert crypto.unseal(renewed) == "y"


def test_first_encryption_key_seals_and_all_open() -> None:
    of_secret = crypto.seal("before there were keys")
    with override_settings(ENCRYPTION_KEYS=[OLD]):
        old = crypto.seal("x")
        assert crypto.unseal(of_secret) == "before there were keys"
    with override_settings(ENCRYPTION_KEYS=[NEW, OLD]):
        new = crypto.seal("y")
        assert (crypto.unseal(old), crypto.unseal(new)) == ("x", "y")
        assert len({crypto.name_of(each) for each in (of_secret, old, new)}) == 3
    with override_settings(ENCRYPTION_KEYS=[NEW]):
        assert crypto.unseal(new) == "y"
        with pytest.raises(crypto.NotSealed):
            crypto.unseal(old)


def test_texts_of_before_keys_had_names_open() -> None:
    with override_settings(SECRET_KEY="present", SECRET_KEY_FALLBACKS=["past"], ENCRYPTION_KEYS=[NEW]):
        assert [crypto.unseal(former("+254712345678", secret)) for secret in ("present", "past")] == [
            "+254712345678"
        ] * 2
        assert crypto.name_of(former("x", "present")) == ""
        with pytest.raises(crypto.NotSealed):
            crypto.unseal(former("x", "somebody else's"))


def test_index_is_the_same_for_the_same_text_and_key_only() -> None:
    sealed = crypto.seal("+254712345678", index="phone:+254712345678")
    with override_settings(ENCRYPTION_KEYS=[NEW]):
        renewed = crypto.seal("+254712345678", index="phone:+254712345678")
        both = crypto.indexes("phone:+254712345678")

    assert crypto.indexes("phone:+254712345678") == [sealed.split(":")[3]]
    assert both == [renewed.split(":")[3], sealed.split(":")[3]]
    assert len(set(both)) == 2
    assert crypto.indexes("other:+254712345678") != crypto.indexes("phone:+254712345678")
    assert crypto.seal("x").split(":")[3] == ""


def test_fingerprint_tells_nothing_and_stays() -> None:
    assert crypto.fingerprint("+254712345678") == crypto.fingerprint("+254712345678")
    assert len(crypto.fingerprint("+254712345678")) == 32
    assert crypto.fingerprint("+254712345679") != crypto.fingerprint("+254712345678")
