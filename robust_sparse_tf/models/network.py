"""The network inside the model that trains it."""

import tf_keras as keras


def network_of(model: keras.Model) -> keras.Model:
    """The network that a model trains, its `network`; what has none is a network itself."""
    return getattr(model, "network", model)
