"""Differentiable twins of TFLite files."""
