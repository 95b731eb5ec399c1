"""No path of training makes a masked weight non-zero."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from networks import compiled, masks_of, slow, weights_of

from robust_sparse_tf import sparsify, strip
from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.callbacks import Rewind
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.sparsity import (
    GradualMagnitude,
    Magnitude,
    RigL,
    SparseModel,
    Static,
    masked_weights,
    set_masks,
    statistics,
    wrap,
)
from robust_sparse_tf.training import AdversarialModel, devices

layers = keras.layers
optimizers = keras.optimizers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SIZE, CLASSES = 6, 3


def network(**arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((SIZE,)),
            layers.Dense(8, "relu", name="hidden", **arguments),
            layers.Dense(CLASSES, name="logits"),
        ]
    )


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((16, SIZE)).astype(np.float32), rng.integers(0, CLASSES, 16)


def trained(model: keras.Model, optimizer) -> keras.Model:
    if model.optimizer is None:
        compiled(model, optimizer, metrics=None)
    model.fit(*examples(), batch_size=8, verbose=0)
    return model


def held(model: keras.Model) -> bool:
    """Whether all pruned weights are zero; some are pruned."""
    masks, weights = masks_of(model), weights_of(model)
    assert any((mask == 0).any() for mask in masks)
    return not any(weight[mask == 0].any() for mask, weight in zip(masks, weights, strict=True))


def own_fit(sparse, optimizer):
    trained(sparse, optimizer)


def new_head(sparse, optimizer):
    inputs = layers.Input((SIZE,))
    trained(keras.Model(inputs, layers.Dense(CLASSES)(sparse(inputs))), optimizer)


def preprocessing_in_front(sparse, optimizer):
    trained(keras.Sequential([layers.Input((SIZE,)), layers.Rescaling(2.0), sparse]), optimizer)


def cut(sparse, optimizer):
    outputs = layers.Dense(CLASSES)(sparse.layers[-2].output)
    trained(keras.Model(sparse.input, outputs), optimizer)


def tape_loop(sparse, optimizer):
    x, y = examples()
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = LOSS(y, sparse(x, training=True))
        gradients = tape.gradient(loss, sparse.trainable_variables)
        optimizer.apply_gradients(zip(gradients, sparse.trainable_variables, strict=True))
    if getattr(optimizer, "use_ema", False):
        optimizer.finalize_variable_values(sparse.trainable_variables)


class OwnStep(SparseModel):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return {"loss": loss}


def own_step(sparse, optimizer):
    trained(OwnStep(sparse.input, sparse.output, Static()), optimizer)


def loaded_weights(sparse, optimizer):
    trained(sparse, optimizer)
    other = sparsify(network(), Static(0.3, seed=1))
    sparse.set_weights([*other.get_weights()])
    trained(sparse, optimizer)


def pruned_between(sparse, optimizer):
    trained(sparse, optimizer)
    Magnitude(0.2).prune(sparse)
    trained(sparse, optimizer)


def rewound(sparse, optimizer):
    compiled(sparse, optimizer, metrics=None)
    sparse.fit(*examples(), batch_size=8, epochs=2, verbose=0, callbacks=[Rewind(1)])


def adversarial(sparse, optimizer):
    model = AdversarialModel(sparse, FGSM(epsilon=0.1))
    model.compile(optimizer, run_eagerly=True, jit_update=False)
    model.fit(*examples(), batch_size=8, verbose=0)


def stripped(sparse, optimizer):
    trained(strip(sparse), optimizer)


PATHS = [
    own_fit,
    new_head,
    preprocessing_in_front,
    cut,
    tape_loop,
    own_step,
    loaded_weights,
    pruned_between,
    rewound,
    adversarial,
    stripped,
]
OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.1, momentum=0.9),
    "Adam": lambda: optimizers.Adam(0.1),
    "AdamW": lambda: optimizers.AdamW(0.1),
    "averaged Adam": lambda: optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5),
    "overwriting SGD": lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=2),
    "Adafactor": lambda: optimizers.Adafactor(0.1),
    "Lion": lambda: optimizers.Lion(0.1),
    "Ftrl": lambda: optimizers.Ftrl(0.1),
    "Nadam": lambda: optimizers.Nadam(0.1),
    "Adadelta": lambda: optimizers.Adadelta(1.0),
    "legacy SGD": lambda: optimizers.legacy.SGD(0.1, momentum=0.9, nesterov=True),
    "legacy Adam": lambda: optimizers.legacy.Adam(0.1),
    "legacy Ftrl": lambda: optimizers.legacy.Ftrl(0.1),
}


@pytest.mark.parametrize("path", PATHS)
def test_averages_of_weights(path):
    """What an optimizer averages may hold weights that are pruned since."""
    sparse = sparsify(network(), Static(0.4))
    path(sparse, OPTIMIZERS["averaged Adam"]())
    assert held(sparse) and statistics(sparse)["outside"] == 0


@pytest.mark.parametrize("seed", [0, 1, *(slow(seed) for seed in range(2, 40))])
def test_drawn_paths(seed):
    """Three paths of training drawn at random, one after the other on the same weights."""
    rng = np.random.default_rng(seed)
    sparse = sparsify(network(), Static(0.5, seed=seed))
    for number in rng.integers(len(PATHS), size=3):
        name = rng.choice(list(OPTIMIZERS))
        sparse.optimizer = None
        PATHS[number](sparse, OPTIMIZERS[name]())
        assert held(sparse), (PATHS[number].__name__, name)


@pytest.mark.parametrize("name", ["SGD", "legacy SGD"])
@pytest.mark.parametrize("path", [own_fit, tape_loop])
def test_constraints_of_the_user_hold(path, name):
    sparse = sparsify(network(kernel_constraint="non_neg"), Static(0.5))
    path(sparse, OPTIMIZERS[name]())
    assert held(sparse) and weights_of(sparse)[0].min() >= 0


@pytest.mark.parametrize("legacy", [False, slow(True)])
@pytest.mark.parametrize("path", [own_fit, new_head])
def test_two_replicas(path, legacy):
    with devices.strategy("mirrored").scope():
        sparse = sparsify(network(), Static(0.4))
        path(sparse, optimizers.legacy.Adam(0.1) if legacy else OPTIMIZERS["averaged Adam"]())
    for entry in masked_weights(sparse):
        for weight, mask in zip(entry.weight.values, entry.mask.values, strict=True):
            assert not weight.numpy()[mask.numpy() == 0].any() and not mask.numpy().all()
            np.testing.assert_array_equal(weight, entry.weight.values[0])


def test_nadam_on_two_replicas_is_refused():
    with devices.strategy("mirrored").scope():
        sparse = sparsify(network(), Static(0.4))
        with pytest.raises(InputError, match="^optimizer=Nadam: gives NaN on several replicas"):
            sparse.compile(optimizers.Nadam(), LOSS)


@pytest.mark.parametrize("method", [RigL(0.4), GradualMagnitude(0.4)])
@pytest.mark.parametrize("path", [new_head, slow(cut), slow(tape_loop)])
def test_tells_of_a_step_that_changes_no_masks(path, method):
    sparse = sparsify(network(), method)
    before = masks_of(sparse)
    with pytest.warns(RunWarning, match=f"so that {type(method).__name__} cannot change masks"):
        path(sparse, optimizers.Adam())
    for mask, old in zip(masks_of(sparse), before, strict=True):
        np.testing.assert_array_equal(mask, old)


@pytest.mark.parametrize(
    "method", [RigL(0.4, update_interval=1), GradualMagnitude(0.4, stop_step=2, update_interval=1)]
)
def test_method_of_a_nested_model(method, recwarn):
    """Preprocessing in front of a sparse model leaves the method as it is without."""
    found = []
    for front in (False, True):
        sparse = inside = sparsify(network(), method)
        if front:
            inside = keras.Sequential([layers.Input((SIZE,)), layers.Rescaling(1.0), sparse])
        adversarial(inside, optimizers.Adam())
        found.append((masks_of(sparse), int(sparse.step), statistics(inside)))
    (masks, steps, told), (nested, nested_steps, nested_told) = found
    assert steps == nested_steps == 2
    assert told["layers"] == nested_told["layers"]
    for one, other in zip(masks, nested, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not [w for w in recwarn if w.category is RunWarning]


def test_several_sparse_models_are_refused():
    inputs = layers.Input((SIZE,))
    parts = [sparsify(network(), RigL(0.4))(inputs), sparsify(network(), Static(0.4))(inputs)]
    model = AdversarialModel(keras.Model(inputs, layers.Add()(parts)))
    with pytest.raises(InputError, match="holds 2 sparse models .* if RigL changes masks"):
        model.compile()


def test_statistics_tell_of_weights_outside_their_masks():
    sparse = sparsify(network(), Static(0.5))
    entry = next(iter(masked_weights(sparse)))
    entry.weight.assign(tf.ones_like(entry.weight))
    with pytest.warns(RunWarning, match=r"24 pruned weights are not zero \(hidden\)"):
        found = statistics(sparse)
    assert found["outside"] == found["layers"]["hidden"]["outside"] == 24
    assert found["layers"]["hidden"]["density"] == 1
    strip(sparse)
    assert statistics(sparse)["outside"] == 0


def test_what_is_saved_is_masked(tmp_path):
    sparse = sparsify(network(), Static(0.5))
    for name in ("model.weights.h5", "model.keras"):
        entry = next(iter(masked_weights(sparse)))
        entry.weight.assign(tf.ones_like(entry.weight))
        sparse.save_weights(tmp_path / name) if "weights" in name else sparse.save(tmp_path / name)
        assert held(sparse)
    assert held(keras.models.load_model(tmp_path / "model.keras"))


def test_a_clone_without_masks_is_told_of():
    clone = keras.models.clone_model(sparsify(network(), Static(0.5)))
    with pytest.warns(RunWarning, match="has all its weights, though Static has density=0.5"):
        trained(clone, optimizers.SGD(0.1))
    clone.start()
    assert held(trained(clone, None))


def test_weights_put_in_are_masked():
    sparse, dense = sparsify(network(), Static(0.5)), wrap(network())
    set_masks(dense, [tf.ones_like(entry.mask) > 0 for entry in masked_weights(dense)])
    values = sparse.get_weights()
    values[0] = np.ones_like(values[0])
    sparse.set_weights(values)
    assert held(sparse)


def test_weights_put_into_a_layer_are_masked():
    sparse = sparsify(network(), Static(0.5))
    layer = sparse.get_layer("hidden")
    layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])
    assert held(sparse) and layer.bias.numpy().all()


def test_averages_of_several_networks():
    """Masks are averaged, too, and would shrink what they share at each step."""
    networks = [sparsify(network(), Static(0.3, seed=seed)) for seed in range(3)]
    masks = np.mean([masks_of(sparse)[0] > 0 for sparse in networks], axis=0)
    values = zip(*(sparse.get_weights() for sparse in networks), strict=True)
    with pytest.warns(RunWarning, match=r"masks with other values than 0 and 1 \(hidden, logits\)"):
        networks[0].set_weights([np.mean(value, axis=0) for value in values])
    np.testing.assert_array_equal(masks_of(networks[0])[0], masks > 0)
    assert held(trained(networks[0], optimizers.SGD(0.0)))


def test_a_weight_of_two_layers_has_one_mask():
    inputs, (first, second) = layers.Input((SIZE,)), (layers.Dense(SIZE), layers.Dense(SIZE))
    model = keras.Model(inputs, second(first(inputs)))
    second.kernel = first.kernel
    sparse = sparsify(model, Static(0.5))
    assert len(masks_of(sparse)) == 1
    assert held(trained(sparse, optimizers.Adam(0.1)))


def test_unfinished_networks_are_told_of(tmp_path):
    method = GradualMagnitude(0.1, stop_step=20, update_interval=1)
    sparse = trained(sparsify(network(), method), optimizers.Adam())
    inputs = layers.Input(sparse.input_shape[1:])
    part = keras.Model(inputs, sparse(inputs))
    expected = "density .* at step 2 of GradualMagnitude, whose schedule has not ended; density=0.1"
    acts = [
        lambda: sparse.save(tmp_path / "model.keras"),
        lambda: keras.models.save_model(sparse, tmp_path / "model.keras"),
        lambda: tf.saved_model.save(sparse, str(tmp_path / "model")),
        lambda: sparse.save(tmp_path / "model.h5"),
        lambda: keras.models.save_model(sparse, tmp_path / "model.h5"),
        lambda: part.save(tmp_path / "part.keras"),
        lambda: part.save(tmp_path / "part.h5"),
        lambda: sparse.save_weights(tmp_path / "model.weights.h5"),
        lambda: sparse.load_weights(tmp_path / "model.weights.h5"),
        lambda: sparse.set_weights(sparse.get_weights()),
        lambda: strip(sparse),
    ]
    for act in acts:
        with pytest.warns(RunWarning) as warned:
            act()
        told = [str(each.message) for each in warned if each.category is RunWarning]
        assert len(told) == 1 and re.search(expected, told[0])
