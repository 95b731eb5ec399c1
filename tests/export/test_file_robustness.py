"""The file itself is attacked, by scores, by transfer, and through its twin."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
import tflite_files

import robust_sparse_tf as rst
from robust_sparse_tf import export
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import file_robustness

BALL = rst.Ball("linf", 0.1)
COUNT = 60


def trained(digits, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = tflite_files.convolutional()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(digits[0].images, digits[0].labels, epochs=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def data(digits):
    return digits[2].images[:COUNT].astype(np.float32), digits[2].labels[:COUNT]


@pytest.fixture(scope="module")
def model(digits):
    return trained(digits, 0)


@pytest.fixture(scope="module")
def path(model, digits, tmp_path_factory):
    found = tmp_path_factory.mktemp("files") / "model.tflite"
    images = digits[0].images.astype(np.float32)
    found.write_bytes(tflite_files.converted(model, "full_int8", images))
    return str(found)


def attacked(path, data, **given):
    return export.robust_accuracy(path, data, **dict(ball=BALL, queries=20, verbose=False) | given)


@pytest.fixture(scope="module")
def result(path, data, digits):
    """Transfer is from another network, so that it is weaker than the white-box attack."""
    return attacked(path, data, model=trained(digits, 1))


def test_the_white_box_attack_is_the_strongest(result):
    assert result.left_out == "" and result.agreement.counts
    assert result.agreement.images == COUNT
    found = result.accuracies
    assert list(found) == [
        *("clean", "transfer_pgd", "transfer_apgd", "square"),
        *("twin_pgd", "twin_apgd_ce", "twin_apgd_t"),
    ]
    assert found["clean"] > 0.9
    white = min(found[name] for name in found if name.startswith("twin"))
    others = min(found["transfer_pgd"], found["transfer_apgd"], found["square"])
    assert white < others - 0.1
    assert result.accuracy == result.worst.mean() <= white


def test_each_example_is_judged_on_the_file(result, path):
    content = Path(path).read_bytes()
    seen = 0
    for (_, epsilon), pictures in result.report.pictures.items():
        for picture in pictures:
            assert np.abs(picture.adversarial - picture.clean).max() <= epsilon + 1e-5
            logits = export.tflite_logits(content, picture.adversarial[None])
            assert logits.argmax() == picture.prediction
            seen += 1
    assert seen > 30


def test_results_are_written(result):
    text = result.to_markdown()
    assert "| twin_pgd |" in text and "| worst |" in text
    assert f"The twin predicts what the file predicts on {COUNT} of {COUNT} images" in text
    stored = json.loads(json.dumps(result.as_json()))
    assert stored["accuracy"] == result.accuracy and stored["examples"] == COUNT
    assert stored["twin"]["same"] == COUNT and stored["twin_left_out"] == ""


@pytest.mark.slow
def test_epsilon_0_is_the_clean_accuracy(path, data):
    found = attacked(path, data, ball=BALL.at(0.0))
    assert set(found.accuracies.values()) == {found.accuracies["clean"]}


def test_a_twin_that_disagrees_does_not_count(path, data, monkeypatch):
    class Wrong(file_robustness.Twin):
        def __call__(self, x):
            return -super().__call__(x)

    monkeypatch.setattr(file_robustness, "Twin", Wrong)
    found = attacked(path, data)
    assert list(found.accuracies) == ["clean", "square"]
    assert not found.agreement.counts
    assert "left out: it predicts what the file predicts on 0 of" in found.to_markdown()


def test_a_file_without_twin_is_attacked_by_scores(data, digits, tmp_path):
    inputs = keras.layers.Input((8, 8, 1))
    flat = keras.layers.Flatten()(tf.sin(inputs))
    unknown = keras.Model(inputs, keras.layers.Dense(10)(flat))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_files.converted(unknown, "fp32", digits[0].images))
    found = attacked(path, data)
    assert found.agreement is None and "operation SIN has no twin" in found.left_out
    assert any("only score-based attacks count" in line for line in found.report.warnings)


def test_gradients_are_those_of_the_twin():
    logits = file_robustness.with_gradients(tf.round, lambda x: 3 * x)
    x = tf.constant([[0.4, 1.6]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = logits(x)
    np.testing.assert_array_equal(found, [[0.0, 2.0]])
    np.testing.assert_array_equal(tape.gradient(found, x), [[3.0, 3.0]])


def test_wrong_arguments_get_one_line(path, data, tmp_path):
    images, labels = data
    cut, text = tmp_path / "cut.tflite", tmp_path / "text"
    cut.write_bytes(Path(path).read_bytes()[:500])
    text.write_text("no model")
    cases = [
        (dict(path=tmp_path / "none"), "does not exist"),
        (dict(path=text), "cannot be read: must be"),
        (dict(path=cut), "must be that of a TFLite file"),
        (dict(path=None), "path=None: must be"),
        (dict(data=(images[:, :7], labels)), "images of shape"),
        (dict(data=(images, labels + 10)), "labels from 10"),
        (dict(data=(images * 9, labels)), "images of values"),
        (dict(data=images), "data of type ndarray"),
        (dict(ball=0.3), "ball=0.3: must be a Ball"),
        (dict(ball=rst.Ball("l1", 1.0)), "ball: in l1; must be in linf or l2"),
        (dict(model="model"), "model of type str"),
        (dict(queries=0), "queries=0: must be"),
        (dict(seed="0"), "seed='0': must be"),
        (dict(batch_size=0), "batch_size=0: must be"),
        (dict(verbose="no"), "verbose='no': must be"),
        (dict(on_batch=1), "on_batch=1: must be"),
    ]
    for given, words in cases:
        with pytest.raises(InputError, match=words) as caught:
            attacked(**dict(path=path, data=data) | given)
        assert "\n" not in str(caught.value)
