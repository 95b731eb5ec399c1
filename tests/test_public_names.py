"""What a user sees of the library: its public names and no others."""

import importlib

import pytest

import robust_sparse_tf as rst

PACKAGES = [
    "robust_sparse_tf",
    *(
        f"robust_sparse_tf.{name}"
        for name in rst.__all__
        if hasattr(getattr(rst, name), "__path__") and name != "callbacks"
    ),
    "robust_sparse_tf.training.callbacks",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_tab_offers_what_is_public(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    assert all(hasattr(package, public) for public in dir(package))
    assert len(package.__all__) == len(set(package.__all__))
