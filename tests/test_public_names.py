"""What a user sees of the library: its public names and no others."""

import dataclasses
import importlib
import inspect

import pytest

import robust_sparse_tf as rst

PACKAGES = [
    "robust_sparse_tf",
    *(
        getattr(rst, name).__name__
        for name in rst.__all__
        if hasattr(getattr(rst, name), "__path__") and name != "callbacks"
    ),
    "robust_sparse_tf.callbacks",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_tab_offers_what_is_public(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    assert all(hasattr(package, public) for public in dir(package))
    assert len(package.__all__) == len(set(package.__all__))


OPTIONS = [*rst.sparsity.BY_NAME.values(), *rst.attacks.BY_NAME.values(), rst.Ball]


@pytest.mark.parametrize("cls", OPTIONS)
def test_help_tells_of_each_parameter(cls):
    for field in dataclasses.fields(cls):
        assert f"    {field.name}: " in cls.__doc__


def test_help_has_default_unit_and_range():
    assert (
        "    drop_fraction: fraction of a layer's weights dropped at an update (default: 0.3; at "
        "least 0 and at most 1)."
    ) in rst.sparsity.RigL.__doc__
    assert "update_interval: steps between updates (default: 100 steps; at least 1)." in (
        rst.sparsity.RigL.__doc__
    )


def test_public_methods_have_docstrings():
    """Their own, or that of the method they override."""
    classes = [getattr(rst.sparsity, n) for n in rst.sparsity.__all__]
    classes += [getattr(rst.attacks, n) for n in rst.attacks.__all__]
    missing = [
        f"{cls.__name__}.{name}"
        for cls in classes
        if isinstance(cls, type) and cls.__module__.startswith("robust_sparse_tf")
        for name, found in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and found.__module__.startswith("robust_sparse_tf")
        if not inspect.getdoc(getattr(cls, name))
    ]
    assert not missing
