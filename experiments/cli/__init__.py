"""Shared code of all commands: exit codes, quiet start, short names."""
