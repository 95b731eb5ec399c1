"""What all commands share: flags, exit codes, tables."""
