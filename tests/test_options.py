import dataclasses

import pytest

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import allowed, check, default_of, option


@dataclasses.dataclass
class Options:
    rate: float = option(0.5, "a rate", above=0, maximum=1)
    count: int = option(3, "a count", unit="things", minimum=1)
    kind: str = option("a", "a kind", choices=("a", "b"))
    kinds: list = option(["a"], "several kinds", choices=("a", "b"))
    free: str = option("", "anything", hashed=False)
    plain: float = -1.0


FIELDS = {field.name: field for field in dataclasses.fields(Options)}


@pytest.mark.parametrize(
    "name, value",
    [("rate", 1), ("rate", 1e-9), ("count", 1), ("kind", "b"), ("kinds", ["a", "b"]), ("kinds", [])]
    + [("free", "x"), ("plain", -7.0)],
)
def test_check_accepts(name, value):
    check(Options(**{name: value}))


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("rate", 0, "rate=0: must be above 0 and at most 1"),
        ("rate", 1.5, "rate=1.5: must be above 0 and at most 1"),
        ("rate", float("nan"), "rate=nan: must be above 0"),
        ("count", 0, "count=0: must be at least 1"),
        ("kind", "c", "kind=c: must be one of a, b"),
        ("kinds", ["a", "c"], "kinds=.*: must be one of a, b"),
    ],
)
def test_check_names_option_value_and_rule(name, value, words):
    with pytest.raises(InputError, match=words):
        check(Options(**{name: value}))


def test_defaults_are_fresh():
    first, second = default_of(FIELDS["kinds"]), default_of(FIELDS["kinds"])
    first.append("b")
    assert second == ["a"] == Options().kinds
    assert default_of(FIELDS["count"]) == 3


def test_metadata_is_kept():
    assert FIELDS["count"].metadata["help"] == "a count"
    assert FIELDS["count"].metadata["unit"] == "things"
    assert FIELDS["count"].metadata["hashed"]
    assert not FIELDS["free"].metadata["hashed"]
    assert allowed(FIELDS["free"]) == "any value"
