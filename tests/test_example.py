"""The pieces together, as a user writes them."""

import numpy as np
import tf_keras as keras

import robust_sparse_tf as rst


def test_train_evaluate_export_strip(tmp_path):
    train, valid, test = rst.data.load("digits", batch_size=32)
    model = rst.models.lenet_300_100((8, 8, 1))
    sparse = rst.sparsify(model, rst.sparsity.Magnitude(density=0.2))
    robust = rst.AdversarialModel(
        sparse,
        attack=rst.attacks.PGD(epsilon=0.1, step_size=0.03, steps=4),
        objective=rst.objectives.Mixed(clean_weight=0.5),
    )
    robust.compile(optimizer=keras.optimizers.Adam(2e-3), metrics=["accuracy"])
    history = robust.fit(
        train,
        validation_data=valid,
        epochs=4,
        verbose=0,
        callbacks=[rst.callbacks.SparsityLog(str(tmp_path / "logs"))],
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_robust_accuracy"][-1] > 0.5

    report = rst.evaluate(robust, test, attacks={"fgsm": rst.attacks.FGSM(epsilon=0.1)})
    assert report.accuracy("clean") > 0.8
    assert 0.5 < report.accuracy("fgsm") <= report.accuracy("clean")
    assert report.accuracy("worst") == report.accuracy("fgsm") and not report.warnings

    path = str(tmp_path / "model.tflite")
    assert rst.export.to_tflite(robust, path) > 0
    assert rst.export.agreement(robust, path, test.images) == 1

    plain = rst.strip(robust)
    np.testing.assert_array_equal(plain(test.images), robust(test.images))
    assert not any(isinstance(layer, rst.sparsity.MaskedLayer) for layer in plain.layers)
    kept = [np.count_nonzero(kernel) / kernel.size for kernel in plain.get_weights()]
    np.testing.assert_allclose(kept, 0.2, atol=1e-3)
    assert rst.sparsity.densities(sparse)[0] == 0.2
    assert any((tmp_path / "logs").iterdir())
