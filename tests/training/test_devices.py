import pytest
import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import devices


def test_strategies_by_name(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.strategy("none") is tf.distribute.get_strategy()
    mirrored = devices.strategy("mirrored")
    assert type(mirrored).__name__ == "MirroredStrategy"
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


OF = '{"cluster": %s, "task": {"type": "worker", "index": 0}}'
MALFORMED = {
    "no JSON": "{",
    "a list": "[]",
    "null": "null",
    "a number": "3",
    "no cluster": '{"task": {"type": "worker", "index": 0}}',
    "no task": '{"cluster": {"worker": ["a:1"]}}',
    "cluster is a list": OF % '["a:1"]',
    "cluster is empty": OF % "{}",
    "workers are a word": OF % '{"worker": "a:1"}',
    "no workers": OF % '{"worker": []}',
    "address is a number": OF % '{"worker": [1]}',
    "no port": OF % '{"worker": ["a"]}',
    "no host": OF % '{"worker": [":1"]}',
    "port is a word": OF % '{"worker": ["a:b"]}',
    "port is too large": OF % '{"worker": ["a:70000"]}',
    "twice": OF % '{"worker": ["a:1", "a:1"]}',
    "another kind": OF % '{"worker": ["a:1"], "ps": ["a:2"]}',
    "two chiefs": OF % '{"worker": ["a:1"], "chief": ["a:2", "a:3"]}',
    "task is a word": '{"cluster": {"worker": ["a:1"]}, "task": "worker"}',
    "no index": '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}',
    "index is a word": CLUSTER % '{"type": "worker", "index": "0"}',
    "index is a truth": CLUSTER % '{"type": "worker", "index": true}',
    "index is negative": CLUSTER % '{"type": "worker", "index": -1}',
    "index is too large": CLUSTER % '{"type": "worker", "index": 2}',
    "kind is not there": CLUSTER % '{"type": "chief", "index": 0}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_clusters_are_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r"TF_CONFIG=.* must be like") as error:
        devices.strategy("multiworker")
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000


def test_one_worker_alone_needs_no_cluster(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", OF % '{"worker": ["localhost:1"]}')
    if not tf.config.list_physical_devices("GPU"):
        assert devices.strategy("multiworker") is tf.distribute.get_strategy()
