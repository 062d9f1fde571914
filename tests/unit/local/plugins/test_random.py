"""What the stand-in for the random provider draws."""

import ctypes
import string
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.plugins import random


def drawn(**inputs):
    return [random.random_string(inputs) for _ in range(50)]


def test_a_string_has_the_length_and_every_class_by_default():
    assert {len(text) for text in drawn(length=20)} == {20}
    together = "".join(drawn(length=20))
    assert set(string.ascii_letters) & set(together)
    assert set(together) <= set("".join(random.CLASSES.values()))


def test_the_least_of_each_class_is_held():
    for text in drawn(length=8, minUpper=2, minLower=2, minNumeric=2, minSpecial=2):
        assert [sum(char in chars for char in text) for chars in random.CLASSES.values()] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("off", "chars"), [("special", random.CLASSES["special"]), ("upper", string.ascii_uppercase), ("number", string.digits)]
)
def test_a_class_that_is_off_is_not_drawn_from(off, chars):
    assert not set("".join(drawn(length=30, **{off: False}))) & set(chars)


def test_special_characters_can_be_chosen():
    text = "".join(drawn(length=30, overrideSpecial="_%"))
    assert set(text) - set(string.ascii_letters + string.digits) == {"_", "%"}


def crypt(password, setting):
    """Hashes with the C library in this thread; with a hash as the setting, returns that hash if it is one of the password."""
    function = ctypes.CDLL("libcrypt.so.1").crypt
    function.restype = ctypes.c_char_p
    return function(password.encode(), setting.encode()).decode()


def test_a_bcrypt_hash_is_one_of_the_password():
    made = random.bcrypt_hash("secret")
    assert made.startswith("$2a$10$")
    assert len(made) == 60
    assert crypt("secret", made) == made, "hashing the password with the hash's salt gives the hash"


def test_bcrypt_hashes_made_at_the_same_time_each_verify():
    passwords = [f"secret-{number}" for number in range(9)]
    with ThreadPoolExecutor(3) as threads:
        hashes = dict(zip(passwords, threads.map(random.bcrypt_hash, passwords), strict=True))
    wrong = [password for password, made in hashes.items() if not made or crypt(password, made) != made]
    assert not wrong, "crypt() returns one static buffer, which calls from other threads overwrite"


@pytest.mark.parametrize(
    ("kind", "inputs", "property_"),
    [
        ("RandomInteger", {"min": 5, "max": 1}, "min"),
        ("RandomPassword", {"length": 3, "minLower": 4}, "length"),
        ("RandomString", {"length": 0}, "length"),
        ("RandomString", {"length": 4, **dict.fromkeys(random.CLASSES, False)}, "lower"),
    ],
)
def test_inputs_that_nothing_can_be_drawn_for_are_refused(kind, inputs, property_):
    assert [name for name, _reason in random._check_failures(kind, inputs)] == [property_]


@pytest.mark.parametrize(("wanted", "length"), [(None, 3), (2, 2), (7, 7)])
def test_a_shuffle_has_as_many_results_as_asked_for(wanted, length):
    _, made = random._shuffle({"inputs": ["a", "b", "c"], "resultCount": wanted})
    assert len(made["results"]) == length
    assert set(made["results"]) <= {"a", "b", "c"}


def test_a_seed_makes_the_same_again():
    assert random._integer({"min": 0, "max": 10**9, "seed": "x"}) == random._integer({"min": 0, "max": 10**9, "seed": "x"})
    assert random._integer({"min": 0, "max": 10**9})[1] != random._integer({"min": 0, "max": 10**9})[1]


def test_an_identifier_is_the_same_number_in_every_form():
    identity, made = random._id({"byteLength": 8, "prefix": "p-"})
    assert int(made["hex"].removeprefix("p-"), 16) == int(made["dec"].removeprefix("p-"))
    assert made["b64Url"] == f"p-{identity}"


def test_a_pet_has_its_words():
    identity, _ = random._pet({"length": 3, "separator": "_", "prefix": "my"})
    assert len(identity.split("_")) == 4
