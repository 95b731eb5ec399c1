import pytest
import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import devices


def test_strategies_by_name(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.strategy("none") is tf.distribute.get_strategy()
    mirrored = devices.strategy("mirrored")
    assert type(mirrored) is tf.distribute.MirroredStrategy
    if not tf.config.list_physical_devices("GPU"):
        assert mirrored.num_replicas_in_sync == 2  # the logical CPUs of these tests
    with pytest.raises(InputError, match="distribute=multiworker: the variable TF_CONFIG"):
        devices.strategy("multiworker")
    with pytest.raises(InputError, match="distribute=tpu: must be one of none, mirrored"):
        devices.strategy("tpu")


CLUSTER = '{"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": %s}'


@pytest.mark.parametrize(
    "config, chief",
    [
        ("", True),
        (CLUSTER % '{"type": "worker", "index": 0}', True),
        (CLUSTER % '{"type": "worker", "index": 1}', False),
    ],
)
def test_is_chief(config, chief, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    assert devices.is_chief() == chief
