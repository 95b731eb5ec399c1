"""Compaction: a smaller dense network with the same outputs as a sparse one.

In the order of the work: `graph` reads a network as a flat list of layers, of the `kinds` that are
known; `batch_norm` folds normalization; `constants` finds channels that do not vary; `channels`
those that must stay; `branches` cuts additions of constants; `rebuild` builds the smaller network;
`stopped` gives the reasons for what is left. `kernels` has the arithmetic of layers with weights.
"""
