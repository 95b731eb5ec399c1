"""Attacks on trained models, and measures."""
