"""Ours beside the published numbers."""

import json

import pytest

from experiments import studies
from experiments.reports import published
from robust_sparse_tf.errors import InputError


@pytest.mark.parametrize("study", studies.BY_NAME)
def test_every_study_has_published_numbers(study):
    assert published.load(study)["study"]


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_a_file_that_cannot_be_read_is_named(content, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "FOLDER", str(tmp_path))
    if content is not None:
        (tmp_path / "some").mkdir()
        (tmp_path / "some" / "published.json").write_text(content)
    with pytest.raises(InputError, match="some/published.json: no published numbers"):
        published.load("some")


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        ([97.0], {"mean": 98.0, "std": 0.5}, "97.00 (98.00 ± 0.50; -2.0 σ)"),
        ([97.0, 99.0], {"mean": 97.5, "std": 0.25}, "98.00 ± 1.41 (97.50 ± 0.25; +2.0 σ)"),
        ([97.0], {"mean": 98.0, "std": 0.0}, "97.00 (98.00 ± 0.00)"),
        ([97.0], {"mean": 98.0}, "97.00 (98.00)"),
        ([97.0], None, "97.00"),
        ([], {"mean": 98.0, "std": 0.5}, "- (98.00 ± 0.50)"),
        ([], None, "-"),
    ],
)
def test_beside(ours, theirs, text):
    found = published.compare(ours, theirs)
    assert published.beside(found) == text
    assert found.trials == len(ours)
    json.dumps(found.as_json())
