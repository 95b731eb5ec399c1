"""A small network for each kind of layer that can be wrapped, and for each thing a layer does."""

import tensorflow as tf
import tf_keras as keras

layers = keras.layers

SEQUENCE, IMAGE = (6, 4), (6, 6, 2)


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Dense):
    """A layer with an argument, a loss and a metric of its own, that trains unless told not to."""

    def call(self, inputs, scale=1.0, training=True):
        outputs = super().call(inputs) * scale
        self.add_loss(0.01 * tf.reduce_mean(outputs**2))
        self.add_metric(tf.reduce_mean(outputs), name="mean", aggregation="mean")
        return outputs + 1.0 if training else outputs


def sequence(shape, *inner, **of_input) -> keras.Model:
    return keras.Sequential([layers.Input(shape, **of_input), *inner, layers.Dense(2)])


def flat(shape, layer) -> keras.Model:
    return sequence(shape, layer, layers.Flatten())


def attention() -> keras.Model:
    tokens = layers.Input((6,), dtype="int32")
    vectors = layers.Embedding(9, 4, mask_zero=True)(tokens)
    mixed = layers.MultiHeadAttention(2, 3)(vectors, value=vectors, use_causal_mask=True)
    return keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(mixed)))


def states_passed_on() -> keras.Model:
    inputs = layers.Input(SEQUENCE)
    outputs, state = layers.GRU(3, return_sequences=True, return_state=True)(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.GRU(3)(outputs, initial_state=state)))


def called_twice() -> keras.Model:
    inputs = layers.Input((4,))
    layer = layers.Dense(4, "tanh", activity_regularizer="l2", kernel_regularizer="l2")
    return keras.Model(inputs, layers.Dense(2)(layer(layer(inputs))))


def own_layer() -> keras.Model:
    inputs = layers.Input((4,))
    return keras.Model(inputs, layers.Dense(2)(Scaled(3)(inputs, scale=2.0)))


def losses_beside() -> keras.Model:
    inputs = layers.Input((4,))
    hidden = layers.Dense(5)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    model.add_loss(tf.reduce_mean(hidden**2))
    model.add_metric(tf.reduce_mean(hidden), name="hidden", aggregation="mean")
    return model


def frozen() -> keras.Model:
    base = sequence((4,), layers.BatchNormalization())
    base.trainable = False
    base.layers[0].trainable = True  # of a frozen model: stays frozen
    first = layers.Dense(4, trainable=False)
    return keras.Sequential([layers.Input((4,)), first, base, layers.Dense(2)])


def half_precision() -> keras.Model:
    """Token numbers above 2048 are not exact in float16."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        last = layers.Dense(3, dtype="float32")
        embedding = layers.Embedding(6000, 3, mask_zero=True)
        return sequence((6,), embedding, layers.SimpleRNN(3), last)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def named_inputs() -> keras.Model:
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    joined = layers.Concatenate()([a, b])
    outputs = {"c": layers.Dense(3, name="c")(joined), "d": layers.Dense(2, name="d")(b)}
    return keras.Model({"a": a, "b": b}, outputs)


def masked(*inner) -> keras.Model:
    return sequence(SEQUENCE, layers.Masking(), *inner)


# Those of `make test`: each thing that a layer does beside its outputs.
QUICK = {
    "masked": lambda: masked(layers.Dense(3), layers.SimpleRNN(3, return_sequences=True)),
    "stateful": lambda: sequence(SEQUENCE, layers.SimpleRNN(3, stateful=True), batch_size=8),
    "attention": attention,
    "called_twice": called_twice,
    "own_layer": own_layer,
    "losses_beside": losses_beside,
    "frozen": frozen,
    "half_precision": half_precision,
    "named_inputs": named_inputs,
}

SLOW = {
    "conv1d": lambda: flat(SEQUENCE, layers.Conv1D(3, 3)),
    "conv2d": lambda: flat(IMAGE, layers.Conv2D(4, 3, groups=2)),
    "conv3d": lambda: flat((4, 4, 4, 2), layers.Conv3D(3, 2)),
    "conv1d_transpose": lambda: flat(SEQUENCE, layers.Conv1DTranspose(3, 3)),
    "conv2d_transpose": lambda: flat(IMAGE, layers.Conv2DTranspose(3, 3)),
    "conv3d_transpose": lambda: flat((4, 4, 4, 2), layers.Conv3DTranspose(3, 2)),
    "depthwise1d": lambda: flat(SEQUENCE, layers.DepthwiseConv1D(3)),
    "depthwise2d": lambda: flat(IMAGE, layers.DepthwiseConv2D(3)),
    "separable1d": lambda: flat(SEQUENCE, layers.SeparableConv1D(3, 3)),
    "separable2d": lambda: flat(IMAGE, layers.SeparableConv2D(3, 3)),
    "local1d": lambda: flat(SEQUENCE, layers.LocallyConnected1D(3, 3)),
    "local2d": lambda: flat(IMAGE, layers.LocallyConnected2D(3, 3)),
    "local2d_dense": lambda: flat(IMAGE, layers.LocallyConnected2D(3, 3, implementation=2)),
    "local2d_sparse": lambda: flat(IMAGE, layers.LocallyConnected2D(3, 3, implementation=3)),
    "gru": lambda: masked(layers.GRU(3)),
    "lstm": lambda: masked(layers.LSTM(3, dropout=0.3)),
    "stateful_lstm": lambda: sequence(SEQUENCE, layers.LSTM(3, stateful=True), batch_size=8),
    "cell": lambda: masked(layers.RNN(layers.LSTMCell(3))),
    "stacked": lambda: masked(layers.RNN([layers.GRUCell(3), layers.LSTMCell(3)])),
    "states_passed_on": states_passed_on,
    "bidirectional": lambda: masked(layers.Bidirectional(layers.LSTM(3))),
    "distributed": lambda: masked(layers.TimeDistributed(layers.Dense(3)), layers.GRU(3)),
}
