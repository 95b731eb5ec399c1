"""What all commands share: exit codes, quiet start, short names."""
