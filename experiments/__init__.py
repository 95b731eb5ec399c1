"""Commands that train, attack and measure sparse networks, and report on them."""

import os

# Commands load TensorFlow themselves, once they are sure to need a network.
os.environ.setdefault("RST_LIGHT_IMPORT", "1")
