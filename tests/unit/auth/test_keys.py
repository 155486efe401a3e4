import hashlib
import hmac

import pytest

from tollkeeper.auth.keys import check_custom_key, hash_key, is_key, key_name, new_key, same_secret


def test_a_new_key_has_litellms_shape_and_is_never_the_same():
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(key.startswith("sk-") and len(key) == 25 and is_key(key) for key in keys)


def test_a_hash_is_litellms_hash_under_the_pepper():
    stored_by_litellm = hashlib.sha256(b"sk-abc").hexdigest().encode()
    assert hash_key(b"pepper", "sk-abc") == hmac.new(b"pepper", stored_by_litellm, hashlib.sha256).hexdigest()
    assert hash_key(b"pepper", "sk-abc") != hash_key(b"other", "sk-abc")


def test_only_the_last_four_characters_are_shown():
    assert key_name("sk-abcdefghijklmnop1234") == "sk-...1234"


@pytest.mark.parametrize("text", ["sk-0123456789abc", "sk-" + "x" * 509])
def test_custom_keys_that_are_taken(text):
    assert check_custom_key(text) == text
    assert is_key(text)


@pytest.mark.parametrize(
    "text", ["pk-0123456789abcdef", "sk-short", "sk-" + "x" * 510, "sk-with a space 0123", "sk-line\nbreak0123456", "sk-ümläut0123456789"]
)
def test_custom_keys_that_are_refused_without_being_repeated(text):
    with pytest.raises(ValueError) as refusal:
        check_custom_key(text)
    assert text not in str(refusal.value)


def test_secrets_of_any_length_and_script_compare():
    assert same_secret("sk-ü", "sk-ü")
    assert not same_secret("sk-a", "sk-ab")
