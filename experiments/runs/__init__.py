"""One training run: its options, directory, log, figures and results."""
