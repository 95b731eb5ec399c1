import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from networks import SHAPE, both, compiled, examples, fit, masks_of, sequential, slow, weights_of

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import (
    SET,
    Dense,
    Magnitude,
    MaskedLayer,
    RigL,
    SparseModel,
    dense_layers,
    masked_weights,
    sparsify,
    strip,
)
from robust_sparse_tf.sparsity.methods.ema import EMAGrowth
from robust_sparse_tf.sparsity.methods.snfs import SNFS

layers = keras.layers


@both
def test_strip_gives_an_ordinary_model(make):
    model = compiled(sparsify(make(), SET(0.3, update_interval=2)))
    fit(model, slice(0, 5))
    plain = strip(model)
    assert isinstance(plain, keras.Model) and not isinstance(plain, SparseModel)
    assert not any(isinstance(part, SparseModel | MaskedLayer) for part in plain.submodules)
    assert {layer.name for layer in plain.layers} == {layer.name for layer in model.layers}
    x, _ = examples(8)
    np.testing.assert_array_equal(plain(x), model(x))
    np.testing.assert_array_equal(plain(x, training=True), model(x, training=True))
    compiled(plain)
    plain.fit(*examples(8), verbose=0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_images_that_are_no_numbers_are_refused(jit_compile):
    """In arrays, and in streams by the graph; XLA leaves no check out."""
    x, y = examples(8)
    broken = np.where(x > np.median(x), np.nan, x)
    model = sparsify(sequential(), RigL(0.3, update_interval=1))
    compiled(model, jit_compile=jit_compile, run_eagerly=False)
    before = weights_of(model)
    for data in ((broken, y), (tf.data.Dataset.from_tensors((broken, y)),)):
        with pytest.raises(InputError, match="^images.*(NaN|nan)"):
            model.fit(*data, verbose=0)
    for ours, theirs in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_strip_and_sparsify_return():
    """Zeros in place, weights shared, all masks one again."""
    model = sparsify(sequential(), Magnitude(0.3))
    again = sparsify(strip(model))
    assert all(np.all(mask == 1) for mask in masks_of(again))
    for ours, theirs in zip(weights_of(again), weights_of(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match="is already sparse"):
        sparsify(model)
    with pytest.raises(InputError, match="is already sparse"):
        sparsify(keras.Sequential([layers.Input(SHAPE), model]))


class Squared(layers.Dense):
    def call(self, inputs):
        return super().call(inputs) ** 2


class Halved(layers.Conv2D):
    def call(self, inputs):
        return super().call(inputs) / 2


KINDS = {
    "dense": (lambda: layers.Dense(6), (5,), ["layer"]),
    "embedding": (lambda: layers.Embedding(9, 4), (5,), ["layer"]),
    "conv1d": (lambda: layers.Conv1D(4, 3), (6, 3), ["layer"]),
    "conv2d": (lambda: layers.Conv2D(4, 3), (6, 6, 3), ["layer"]),
    "conv3d": (lambda: layers.Conv3D(4, 2), (3, 3, 3, 2), ["layer"]),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 6, 3), ["layer"]),
    "depthwise1d": (lambda: layers.DepthwiseConv1D(3), (6, 3), ["layer"]),
    "transposed": (lambda: layers.Conv2DTranspose(4, 3), (6, 6, 3), ["layer"]),
    "separable": (
        lambda: layers.SeparableConv2D(4, 3),
        (6, 6, 3),
        ["layer/depthwise_kernel", "layer/pointwise_kernel"],
    ),
    "separable1d": (
        lambda: layers.SeparableConv1D(4, 3),
        (6, 3),
        ["layer/depthwise_kernel", "layer/pointwise_kernel"],
    ),
    "dense_subclass": (lambda: Squared(6), (5,), ["layer"]),
    "conv_subclass": (lambda: Halved(4, 3), (6, 6, 3), ["layer"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_are_pruned(kind):
    """Also by the gradient, which is a sparse tensor for embeddings."""
    make, shape, names = KINDS[kind]
    keras.utils.set_random_seed(0)
    layer = make()
    layer._name = "layer"
    model = keras.Sequential([layers.Input(shape), layer, layers.Flatten(), layers.Dense(3)])
    sparse = sparsify(model, RigL(0.4, update_interval=1, drop_fraction=0.5))
    compiled(sparse, keras.optimizers.Adam(0.1))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (16, *shape)), rng.integers(0, 3, 16)
    first = masks_of(sparse)
    sparse.train_on_batch(x, y)
    before = weights_of(sparse)
    sparse.train_on_batch(x, y)
    entries = list(masked_weights(sparse))
    assert [entry.name for entry in entries[:-1]] == names
    for entry, mask, weight in zip(entries, first, before, strict=True):
        assert abs(mask.sum() - 0.4 * mask.size) <= 1 and mask.sum() == np.sum(entry.mask)
        now = entry.weight.numpy()
        np.testing.assert_array_equal(now, np.where(now != 0, weight, 0))
        assert np.count_nonzero(now) == mask.sum() - round(mask.sum() * 0.5)
    assert any(map(np.any, map(np.not_equal, masks_of(sparse), first)))
    np.testing.assert_array_equal(strip(sparse)(x), sparse(x))


def test_shared_layers_have_one_mask(tmp_path):
    keras.utils.set_random_seed(0)
    images, shared = layers.Input(SHAPE), layers.Dense(6, "tanh", name="shared")
    inner = keras.Sequential([layers.Input((6,)), layers.Dense(4, name="deep")], name="inner")
    flat = layers.Flatten()(images)
    sides = [inner(shared(flat)), inner(shared(layers.ReLU()(flat)))]
    model = keras.Model(images, layers.Concatenate()(sides))
    x, _ = examples(8)
    expected = model(x)
    sparse = sparsify(model)
    np.testing.assert_array_equal(sparse(x), expected)
    Magnitude(0.3).prune(sparse)
    assert [entry.name for entry in masked_weights(sparse)] == ["shared", "deep"]
    sparse.save(tmp_path / "model.keras")
    for other in (strip(sparse), keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(other(x), sparse(x))


def test_other_layers_stay_dense():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="batch"),
            layers.PReLU(name="prelu"),
            layers.Flatten(name="flat"),
            layers.LayerNormalization(name="layer"),
            layers.Dense(3, name="logits"),
        ]
    )
    sparse = sparsify(model, Magnitude(0.3))
    assert dense_layers(sparse) == ["batch", "prelu", "layer"]
    assert [entry.name for entry in masked_weights(sparse)] == ["conv", "logits"]
    assert set(dense_layers(model)) == {"conv", "batch", "prelu", "layer", "logits"}


@pytest.mark.parametrize("whole", [True, False], ids=["model", "layer"])
def test_tfmot_models_are_taken_over(whole):
    """With their masks, and without tfmot's own changes of them."""
    prune = tfmot.sparsity.keras.prune_low_magnitude
    keras.utils.set_random_seed(0)
    first, last = layers.Dense(6, name="first"), layers.Dense(3, name="logits")
    if not whole:
        last = prune(last)
    model = keras.Sequential([layers.Input(SHAPE), layers.Flatten(), first, last])
    model = prune(model) if whole else model
    rng = np.random.default_rng(0)
    pruned = [entry for entry in masked_weights(model)]
    assert len(pruned) == 1 + whole
    for entry in pruned:
        entry.mask.assign(rng.integers(0, 2, entry.mask.shape))
    masks, weights = masks_of(model), weights_of(model)
    sparse = compiled(sparsify(model, RigL(0.2, update_interval=100)))
    if not whole:
        masks.insert(0, np.ones([50, 6]))
        weights.insert(0, first.kernel.numpy())
    np.testing.assert_equal(masks_of(sparse), masks)
    np.testing.assert_equal(
        weights_of(sparse), [w * m for w, m in zip(weights, masks, strict=True)]
    )
    fit(sparse, slice(0, 3))
    np.testing.assert_equal(masks_of(sparse), masks)
    assert not any(type(part).__name__ == "PruneLowMagnitude" for part in sparse.submodules)


@pytest.fixture
def policy(request):
    keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    "kind, policy",
    [
        (SET, "mixed_bfloat16"),
        (RigL, "mixed_float16"),
        (EMAGrowth, "mixed_bfloat16"),
        (SNFS, "mixed_float16"),
        slow(SET, "mixed_float16"),
        slow(RigL, "mixed_bfloat16"),
        slow(EMAGrowth, "mixed_float16"),
        slow(SNFS, "mixed_bfloat16"),
    ],
    indirect=["policy"],
)
def test_mixed_precision(kind, policy):
    model = sparsify(sequential(), kind(0.3, update_interval=2))
    compiled(
        model,
        keras.optimizers.Adam(1e-2),
        metrics=None,
        run_eagerly=(kind, policy) != (RigL, "mixed_float16"),
    )
    scaled = isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    counts = [mask.sum() for mask in masks_of(model)]
    x, y = examples(32)
    losses = [model.train_on_batch(x, y, reset_metrics=True) for _ in range(7)]
    assert losses[-1] < losses[0]
    assert model(x).dtype == policy.removeprefix("mixed_")
    for entry in masked_weights(model):
        assert entry.mask.dtype == tf.float32
        assert set(np.unique(entry.mask)) <= {0, 1}
        assert np.all(entry.weight.numpy()[entry.mask.numpy() == 0] == 0)
    found = [mask.sum() for mask in masks_of(model)]
    assert sum(found) == sum(counts) if kind is SNFS else found == counts


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
@pytest.mark.parametrize("kind", [RigL, EMAGrowth, SNFS])
def test_gradients_that_overflow_are_not_remembered(kind, policy):
    """The optimizer skips such steps, and lowers the scale until there is none."""
    model = sparsify(sequential(), kind(0.3, update_interval=2))
    scale = keras.mixed_precision.LossScaleOptimizer
    compiled(model, scale(keras.optimizers.SGD(1e-3), initial_scale=2.0**20), metrics=None)
    x, y = examples(32)
    count = sum(mask.sum() for mask in masks_of(model))
    model.train_on_batch(x, y)
    assert model.optimizer.loss_scale < 2**20
    for _ in range(8):
        model.train_on_batch(x, y)
        assert sum(mask.sum() for mask in masks_of(model)) == count
    assert model.optimizer.iterations > 0 and model.optimizer.loss_scale >= 1
    for value in [*model.memory, *model.trainable_variables]:
        assert np.isfinite(value).all()
    assert all(np.any(memory) for memory in model.memory)


def reference_step(network, masks, x, y, weights, optimizer) -> float:
    """A step on sum(weight * cross-entropy) / number with masked gradients."""
    variables = network.trainable_variables
    with tf.GradientTape() as tape:
        logits = network(x, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_mean(losses * weights) + sum(network.losses)
    gradients = tape.gradient(loss, variables)
    masked = [
        gradient * masks.get(variable.name, 1.0)
        for gradient, variable in zip(gradients, variables, strict=True)
    ]
    optimizer.apply_gradients(zip(masked, variables, strict=True))
    return float(loss)


@pytest.mark.parametrize(
    "method, weighted",
    [
        (Magnitude(0.3), "plain"),
        (Dense(), "sample"),
        (Magnitude(0.3), "both"),
        slow(Dense(), "plain"),
        slow(Dense(), "class"),  # tf_keras makes sample weights of them
        slow(Dense(), "both"),
        slow(Magnitude(0.3), "sample"),
        slow(Magnitude(0.3), "class"),
    ],
)
def test_a_step_is_that_of_an_ordinary_model_with_masked_gradients(method, weighted):
    def penalised():
        model = sequential()
        model.get_layer("logits").kernel_regularizer = keras.regularizers.L2(0.1)
        weights = model.get_weights()
        model = keras.models.clone_model(model)
        model.set_weights(weights)
        return model

    x, y = examples(16)
    model = sparsify(penalised(), method)
    compiled(model, keras.optimizers.SGD(0.1), run_eagerly=False, metrics=None)
    plain = penalised()
    names = [variable.name for variable in plain.trainable_variables]
    masks = {}
    for entry in masked_weights(model):
        place = [v.ref() for v in model.trainable_variables].index(entry.weight.ref())
        masks[names[place]] = entry.mask.numpy()
        plain.trainable_variables[place].assign(entry.weight)
    rng = np.random.default_rng(1)
    arguments, weights = {}, np.ones(16, np.float32)
    if weighted in ("sample", "both"):
        arguments["sample_weight"] = rng.random(16).astype(np.float32)
        weights = weights * arguments["sample_weight"]
    if weighted in ("class", "both"):
        arguments["class_weight"] = {0: 0.5, 1: 2.0, 2: 0.0}
        weights = weights * np.float32([0.5, 2, 0])[y]
    history = model.fit(x, y, batch_size=16, shuffle=False, verbose=0, **arguments).history
    before = [v.numpy() for v in plain.trainable_variables]
    loss = reference_step(plain, masks, x, y, weights, keras.optimizers.SGD(0.1))
    assert history["loss"][0] == pytest.approx(loss, rel=1e-5)
    for ours, theirs, old in zip(
        model.trainable_variables, plain.trainable_variables, before, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
        assert theirs.shape.rank == 1 or np.abs(theirs - old).max() > 1e-4
    statistics = [layer.get_weights()[2:] for layer in (model.layers[2], plain.layers[1])]
    np.testing.assert_allclose(*statistics, rtol=1e-5, atol=1e-6)


def test_a_dense_run_is_that_of_the_ordinary_model():
    """Several epochs with shuffling, validation and metrics: the same bits and the same history."""
    results = []
    for make in (lambda: sequential(), lambda: sparsify(sequential())):
        model = compiled(make(), run_eagerly=False)
        keras.utils.set_random_seed(1)
        x, y = examples(80)
        history = model.fit(x, y, batch_size=8, epochs=2, validation_split=0.2, verbose=0).history
        variables = [v.numpy() for v in model.trainable_variables]
        evaluated = model.evaluate(x, y, verbose=0, return_dict=True)
        results.append((history, evaluated, model.predict(x, verbose=0), variables))
    assert set(results[0][0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    np.testing.assert_equal(results[1], results[0])


def test_several_inputs_outputs_and_losses(tmp_path):
    """By their names, which are the layers' as before."""
    keras.utils.set_random_seed(0)
    left, right = layers.Input((4,), name="left"), layers.Input((3,), name="right")
    both = layers.Concatenate()([layers.Dense(5, "tanh")(left), layers.Dense(5, "tanh")(right)])
    outputs = {
        "number": layers.Dense(1, name="number")(both),
        "label": layers.Dense(3, name="label")(both),
    }
    model = sparsify(keras.Model([left, right], outputs), RigL(0.5, update_interval=2))
    losses = {
        "number": "mse",
        "label": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(
        keras.optimizers.Adam(0.1),
        losses,
        run_eagerly=True,
        metrics={"label": "accuracy"},
        loss_weights={"number": 0.5, "label": 2.0},
    )
    rng = np.random.default_rng(0)
    x = {"left": rng.normal(size=(48, 4)), "right": rng.normal(size=(48, 3))}
    y = {"number": x["left"][:, :1], "label": (x["right"][:, 0] > 0).astype(int)}
    count = sum(mask.sum() for mask in masks_of(model))
    history = model.fit(x, y, batch_size=16, epochs=5, validation_data=(x, y), verbose=0).history
    assert {"val_number_loss", "val_label_accuracy"} <= set(history)
    assert history["val_loss"][-1] < 0.7 * history["val_loss"][0]
    parts = [history[f"{name}_loss"][0] for name in ("number", "label")]
    assert history["loss"][0] == pytest.approx(0.5 * parts[0] + 2 * parts[1], rel=1e-5)
    assert sum(mask.sum() for mask in masks_of(model)) == count
    expected = {name: value.numpy() for name, value in model(x).items()}
    assert {name: value.shape for name, value in expected.items()} == dict(
        number=(48, 1), label=(48, 3)
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for other in (loaded, strip(model)):
        np.testing.assert_equal({name: value.numpy() for name, value in other(x).items()}, expected)
    loaded.run_eagerly = True
    np.testing.assert_equal(loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0))


def test_compiling_again_keeps_the_step_and_the_masks():
    model = compiled(sparsify(sequential(), SET(0.3, update_interval=2)))
    fit(model, slice(0, 5))
    masks, weights = masks_of(model), weights_of(model)
    compiled(model, keras.optimizers.SGD(0.1))
    assert model.step == 5
    np.testing.assert_equal(masks_of(model), masks)
    np.testing.assert_equal(weights_of(model), weights)
    fit(model, slice(5, 6))
    assert any(map(np.any, map(np.not_equal, weights_of(model), weights)))
    np.testing.assert_equal(masks_of(model), masks)
    fit(model, slice(6, 7))
    assert any(map(np.any, map(np.not_equal, masks_of(model), masks)))
