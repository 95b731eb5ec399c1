"""Compaction: each kind of layer, and where it stops."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from pruned_networks import channels, compacted, images, randomise

import robust_sparse_tf as rst
from robust_sparse_tf import export
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export.compaction import compacting

layers = keras.layers


def chain(shape, *inner, seed=0):
    return randomise(keras.Sequential([layers.Input(shape), *inner]), seed)


def zero(layer, outputs=(), inputs=(), bias=None):
    """Sets columns and rows of a layer's kernel to zero, and the biases of the columns."""
    kernel = layer.kernel.numpy()
    kernel[..., list(outputs)] = 0
    kernel[..., list(inputs), :] = 0
    layer.kernel.assign(kernel)
    if bias is not None:
        biases = layer.bias.numpy()
        biases[list(outputs)] = bias
        layer.bias.assign(biases)


def reasons(found):
    return dict(found.stopped)


def test_dead_units_are_folded_into_biases():
    model = chain((4,), layers.Dense(5, "tanh"), layers.Dense(6, use_bias=False), layers.Dense(3))
    first, second, last = model.layers
    zero(first, outputs=[0, 3])  # their biases stay: they are constants
    zero(last, inputs=[1, 2])  # nothing reads these
    found = compacted(model)
    assert channels(found) == {first.name: 3, second.name: 4, last.name: 3}
    assert found.model.get_layer(second.name).use_bias  # of the constants
    assert not found.stopped


def test_units_without_a_path_to_the_input_or_output_go_through_several_layers():
    model = chain((4,), *(layers.Dense(4, "relu") for _ in range(4)), layers.Dense(2))
    first, second, third, fourth, _ = model.layers
    zero(first, outputs=[0])
    kernel = second.kernel.numpy()
    kernel[1:, 0] = 0  # reads only the dead unit
    second.kernel.assign(kernel)
    zero(fourth, outputs=[2, 3])
    kernel = third.kernel.numpy()
    kernel[1, :] = [0, 0, 0, 1]  # unit 1 is read only by a unit that two dead ones read
    third.kernel.assign(kernel)
    kernel = fourth.kernel.numpy()
    kernel[3, :] = 0
    fourth.kernel.assign(kernel)
    assert list(channels(compacted(model)).values()) == [3, 2, 3, 2, 2]


def test_a_dead_network_keeps_one_channel_of_each_layer():
    model = chain((8, 8, 2), layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(3))
    zero(model.layers[0], outputs=range(4))
    found = compacted(model)
    assert channels(found) == {model.layers[0].name: 1, model.layers[-1].name: 3}
    assert "one channel of a layer stays" in reasons(found)[model.layers[0].name]
    assert "the output keeps its shape" in reasons(found)[model.layers[-1].name]


@pytest.mark.parametrize("padding", ["same", "layer"])
def test_padded_constants_are_carried_by_one_channel(padding):
    pad = [layers.ZeroPadding2D(1)] if padding == "layer" else []
    model = chain(
        (6, 6, 1),
        layers.Conv2D(6, 3, activation="relu", name="first"),
        *pad,
        layers.Conv2D(3, 3, padding="valid" if pad else "same", name="second"),
        layers.GlobalAveragePooling2D(),
    )
    zero(model.layers[0], outputs=[0, 1, 2, 3], bias=[0.5, -1, 2, 0.25])
    found = compacted(model)
    assert channels(found)["first"] == 3  # two that vary, and one constant
    assert reasons(found) == {
        "first": "1 constant channel stays because of the zeros around them in second"
    }


def test_constants_behind_kernels_of_one_pixel_or_without_padding_are_folded():
    model = chain(
        (6, 6, 1),
        layers.Conv2D(4, 3, activation="sigmoid"),
        layers.Conv2D(4, 1, padding="same"),
        layers.MaxPooling2D(2, padding="same"),
        layers.AveragePooling2D(2, 1, padding="same"),
        layers.Conv2D(2, 2),
        layers.Flatten(),
    )
    for number in (0, 1):
        zero(model.layers[number], outputs=[1, 2])
    found = compacted(model)
    assert [each for each in channels(found).values()] == [2, 2, 2]
    assert not found.stopped


def test_padded_constants_of_a_depthwise_layer_stay():
    model = chain(
        (6, 6, 1),
        layers.Conv2D(4, 3, name="first"),
        layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
        layers.Conv2D(2, 1),
        layers.Flatten(),
    )
    zero(model.layers[0], outputs=[1, 2, 3], bias=[0.5, 0, 1])
    found = compacted(model)
    assert channels(found)["first"] == channels(found)["depthwise"] == 3
    assert reasons(found) == {
        "first": "2 constant channels stay because of the zeros around them in depthwise"
    }


def residual(branch_bias):
    inputs = layers.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(inputs)
    y = layers.Conv2D(5, 1, activation="relu", name="branch_1")(x)
    y = layers.Conv2D(4, 1, name="branch_2")(y)
    x = layers.ReLU(name="sum")(layers.Add(name="add")([x, y]))
    outputs = layers.Dense(3, name="logits")(layers.GlobalMaxPooling2D()(x))
    model = randomise(keras.Model(inputs, outputs))
    zero(model.get_layer("branch_2"), outputs=range(4), bias=branch_bias)
    return model


@pytest.mark.parametrize(("bias", "layer"), [(0, None), ([1, 0, -1, 2], layers.Rescaling)])
def test_a_branch_that_adds_a_constant_is_cut(bias, layer):
    found = compacted(residual(bias))
    names = [each.name for each in found.model.layers]
    assert "branch_1" not in names and "branch_2" not in names
    assert ("add" in names) == (layer is not None)
    assert layer is None or isinstance(found.model.get_layer("add"), layer)
    assert channels(found) == {"stem": 4, "logits": 3}
    assert [row.channels_after for row in found.layers if "branch" in row.name] == [0, 0]


def test_channels_go_through_an_addition_only_from_all_its_inputs():
    model = residual(0)
    model.get_layer("branch_2").kernel.assign(np.ones([1, 1, 5, 4]))
    zero(model.get_layer("stem"), outputs=[0, 1], bias=[0.5, 1])
    zero(model.get_layer("branch_2"), outputs=[1, 2], bias=[-1, 3])
    found = compacted(model)
    assert channels(found) == {"stem": 3, "branch_1": 5, "branch_2": 3, "logits": 3}
    why = "1 constant channel stays because those at the other inputs of add vary"
    assert reasons(found) == {"stem": why, "branch_2": why}


def test_channels_go_through_concatenations_and_reshapes():
    inputs = layers.Input((4, 4, 2))
    a = layers.Conv2D(3, 1, name="a")(inputs)
    b = layers.SeparableConv2D(4, 3, padding="same", name="b", depth_multiplier=2)(inputs)
    c = layers.Conv2D(2, 1, name="c")(inputs)
    x = layers.Concatenate()([a, b, c])
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise")(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.Reshape((9, 18))(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv1D(5, 2, name="d", activation=layers.LeakyReLU())(x)
    outputs = layers.Dense(2, name="logits")(layers.Flatten()(x))
    model = randomise(keras.Model(inputs, outputs))
    zero(model.get_layer("a"), outputs=[1], bias=0)
    zero(model.get_layer("c"), outputs=[0, 1], bias=0)
    pointwise = model.get_layer("b").pointwise_kernel
    pointwise.assign(pointwise.numpy() * [1, 0, 0, 1])
    zero(model.get_layer("d"), outputs=[4], bias=3)
    depthwise = model.get_layer("depthwise").depthwise_kernel
    model.get_layer("depthwise").bias.assign(np.abs(model.get_layer("depthwise").bias))
    assert depthwise.shape[-1] == 2
    found = compacted(model)
    rows = channels(found)
    assert [rows[name] for name in "abd"] == [2, 2, 4]
    assert "c" not in rows  # nothing is left of it
    assert rows["depthwise"] == rows["norm"] == 8
    assert reasons(found)["norm"].startswith("is not folded: it follows reshape")


def test_batch_normalization_is_folded_where_nothing_else_reads_the_layer_before_it():
    inputs = layers.Input((6, 6, 2))
    x = layers.BatchNormalization(name="of_input")(inputs)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(scale=False, name="of_conv")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.BatchNormalization(center=False, name="of_depthwise")(x)
    x = layers.SeparableConv2D(3, 1, name="separable")(x)
    y = layers.BatchNormalization(name="of_two")(x)
    x = layers.Conv2D(3, 1, activation="relu", name="active")(layers.Add(name="add")([x, y]))
    x = layers.Flatten()(layers.BatchNormalization(name="of_active")(x))
    x = layers.Dense(3, name="dense")(x)
    model = randomise(keras.Model(inputs, layers.BatchNormalization(name="end")(x)))
    found = compacted(model)
    left = {row.name for row in found.layers if "of_" in row.name and row.weights_after}
    assert left == {"of_input", "of_two", "of_active"}
    assert set(reasons(found)) == left
    assert type(found.model.get_layer("end")) is layers.Activation  # the output's name
    assert found.model.get_layer("conv").use_bias


def test_nested_networks_are_opened():
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(6, "relu", name="dense")], "inner")
    base = keras.Sequential([layers.Input((4,)), inner, layers.Dense(5, name="dense")], "base")
    inputs = layers.Input((4,), name="images")
    x = base(inputs, training=False)
    head = keras.Sequential([layers.Input((5,)), layers.Dense(2, name="dense")], "head")
    model = randomise(keras.Model(inputs, head(x), name="whole"))
    zero(inner.layers[0], outputs=[1, 2])
    zero(base.layers[-1], outputs=[0])
    found = compacted(model)
    assert sorted(channels(found).values()) == [2, 4, 4]
    assert found.model.name == "whole"
    assert all(not isinstance(layer, keras.Model) for layer in found.model.layers)
    assert len({layer.name for layer in found.model.layers}) == len(found.model.layers)


class Twice(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_boundaries_keep_their_channels_and_are_named():
    factor = 3.0
    shared = layers.Dense(4, name="shared")
    inputs = layers.Input((6, 4))
    x = shared(inputs)
    x, *_ = layers.LSTM(5, name="lstm", return_sequences=True, return_state=True)(shared(x))
    x = layers.LayerNormalization(name="layer_norm")(layers.Dense(5, name="a")(x))
    x = Twice(name="own")(layers.Dense(5, name="b")(x))
    x = layers.Lambda(lambda x: factor * tf.sin(x), name="function")(layers.Dense(5, name="c")(x))
    x = layers.Dense(5, "softmax", name="soft")(x)
    x = layers.Dense(4, name="d", dtype="mixed_float16")(x + 1)
    x = layers.Dense(4, name="e")(x)
    x = layers.Dense(3, name="f")(x)
    model = randomise(keras.Model(inputs, layers.GlobalAveragePooling1D()(x)))
    for name in "abce":
        zero(model.get_layer(name), outputs=[0, 1])
    found = compacted(model, relative=1e-3)  # of half precision
    assert [channels(found)[name] for name in "abce"] == [5, 5, 5, 2]
    why = reasons(found)
    assert why["shared"].startswith("is called 2 times")
    assert why["own"].startswith("Twice is not a known layer")
    assert why["function"].startswith("Lambda is not a known layer")
    assert why["layer_norm"].startswith("LayerNormalization needs all of its channels")
    assert why["soft"].startswith("activation softmax")
    assert why["d"].startswith("computes in float16")
    assert any("__operators__.add" in reason or "math.add" in reason for reason in why.values())
    # The copy does not share its weights.
    model.get_layer("lstm").set_weights([w * 0 for w in model.get_layer("lstm").get_weights()])
    assert np.abs(found.model.get_layer("lstm").get_weights()[0]).max() > 0


def test_squeeze_and_excitation():
    inputs = layers.Input((6, 6, 2))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(6, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply()([x, gate])
    model = randomise(keras.Model(inputs, layers.Dense(2, name="logits")(layers.Flatten()(x))))
    zero(model.get_layer("conv"), outputs=[0, 5], bias=[0, 0])  # times a gate that varies: still 0
    assert channels(compacted(model)) == {"conv": 4, "gate": 4, "logits": 2}


def test_sparse_and_adversarial_models(tmp_path):
    model = rst.models.mlp((4, 4, 1), 3, hidden=[16])
    sparse = rst.sparsify(model, rst.sparsity.Magnitude(density=0.05))
    robust = rst.AdversarialModel(sparse, attack=rst.attacks.FGSM(epsilon=0.1))
    robust.compile("sgd")
    plain = rst.strip(robust)
    zero(plain.get_layer("hidden_1"), outputs=range(4))
    found = compacted(plain)
    assert channels(export.compact(robust)) == channels(found)
    assert found.layers[0].channels_after <= 12
    export.to_tflite(found.model, str(tmp_path / "model.tflite"))


def test_the_table():
    model = chain((4,), layers.Dense(5, name="first"), layers.Dense(2, name="last"))
    zero(model.layers[0], outputs=[1])
    found = compacted(model)
    assert found.to_markdown().splitlines()[2:] == [
        "| first | 25 | 20 | 5 | 4 |",
        "| last | 12 | 10 | 2 | 2 |",
        "| **total** | 37 | 30 |  |  |",
    ]
    assert repr(found) == found.to_markdown()


def test_the_given_model_is_not_changed():
    model = residual(0)
    before, names = model.get_weights(), [layer.name for layer in model.layers]
    found = export.compact(model)
    found.model.set_weights([0 * weight for weight in found.model.get_weights()])
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert [layer.name for layer in model.layers] == names


def subclassed():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    return Own()


def two_inputs():
    inputs = [layers.Input((3,)), layers.Input((3,))]
    return keras.Model(inputs, layers.Dense(2)(layers.Add()(inputs)))


def not_finite():
    model = chain((3,), layers.Dense(2))
    model.layers[0].bias.assign([np.nan, 0])
    return model


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: None, "must be a tf_keras model"),
        (lambda: __import__("keras").Sequential(), "must be a tf_keras model"),
        (subclassed, "must be Sequential or functional"),
        (lambda: keras.Sequential([layers.Dense(2)]), "must be built"),
        (two_inputs, "has 2 inputs; must have one"),
        (not_finite, "its outputs are not finite"),
    ],
)
def test_other_models_are_refused(make, error):
    with pytest.raises(InputError, match=error) as caught:
        export.compact(make())
    assert len(str(caught.value).splitlines()) == 1


def test_wrong_outputs_are_found(monkeypatch):
    model = chain((3,), layers.Dense(2))
    wrong = chain((3,), layers.Dense(2), seed=1)
    monkeypatch.setattr(compacting.rebuild, "rebuild", lambda *_: wrong)
    with pytest.raises(TrainingError, match="outputs of the compacted model differ by"):
        export.compact(model)


def test_a_random_network_is_compacted():
    inputs = layers.Input((4,))
    x = layers.Dropout(0.5, name="noise")(layers.Dense(6, name="first")(inputs), training=True)
    x = layers.Dense(5, "tanh", name="second")(x)
    model = randomise(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    zero(model.get_layer("first"), outputs=[0, 1])
    zero(model.get_layer("second"), outputs=[0, 1])
    found = export.compact(model)
    assert channels(found) == {"first": 6, "second": 3, "last": 2}
    assert reasons(found)["noise"].startswith("is called with other arguments than tensors")


def test_double_precision():
    inner = [layers.Dense(6, "relu", dtype="float64"), layers.Dense(2, dtype="float64")]
    model = chain((4,), *inner)
    zero(model.layers[0], outputs=[0, 1])
    assert list(channels(compacted(model, relative=1e-14)).values()) == [4, 2]


def test_images_of_unknown_size():
    model = chain(
        (None, None, 1), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)
    )
    zero(model.layers[0], outputs=[0, 3])
    assert list(channels(compacted(model)).values()) == [2, 2]
    assert images(model).shape == (6, 16, 16, 1)
