"""Commands that train, attack and measure sparse networks, and report on them."""

import os
import sys

from experiments.cli import streams

# Commands load TensorFlow themselves, once they are sure to need a network.
os.environ.setdefault("RST_LIGHT_IMPORT", "1")

if sys.argv[0] == "-m":  # a command is about to be imported
    streams.prepare()
