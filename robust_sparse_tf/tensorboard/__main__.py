"""Runs the page alone: `python -m robust_sparse_tf.tensorboard LOGDIR`."""

import sys

from robust_sparse_tf.tensorboard.serving import main

sys.exit(main())
