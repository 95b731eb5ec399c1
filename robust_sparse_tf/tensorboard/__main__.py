"""Runs the page alone: `python -m robust_sparse_tf.tensorboard LOGDIR`."""

import sys

from robust_sparse_tf.tensorboard.serving import main

if __name__ == "__main__":  # the reference of the library imports every module
    sys.exit(main())
