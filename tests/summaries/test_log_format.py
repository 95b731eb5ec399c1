"""JSON of the log."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from robust_sparse_tf.summaries import log_format

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_json_is_strict_and_on_one_line(value):
    """Every number that is not finite is a string; everything else comes back."""
    text = log_format.to_json({"value": value})
    assert "\n" not in text
    found = json.loads(text, parse_constant=lambda word: 1 / 0)["value"]
    assert found == log_format.finite(value)


def test_numbers_that_are_not_finite():
    numbers = (math.nan, math.inf, -math.inf, 1.5)
    assert log_format.finite(numbers) == ["NaN", "Infinity", "-Infinity", 1.5]


def test_tags_of_examples():
    assert log_format.examples_tag("pgd", 8 / 255) == "examples/pgd/0.0313725"
    assert log_format.examples_tag("deepfool", None) == "examples/deepfool/any"
