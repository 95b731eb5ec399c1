"""Attacks on trained models, and measures of them."""
