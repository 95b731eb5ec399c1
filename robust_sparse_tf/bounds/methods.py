"""Names of the ways to bound margins, for options, without TensorFlow."""

METHODS = ("interval", "linear")
"""From the fastest to the tightest."""
