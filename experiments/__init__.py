"""Commands that train, attack and measure sparse networks, and write reports."""

import os
import sys

from experiments.cli import streams

# Commands load TensorFlow themselves, once they know that they need a network.
os.environ.setdefault("RST_LIGHT_IMPORT", "1")

if sys.argv[0] == "-m":  # a command is about to be imported
    streams.prepare()
