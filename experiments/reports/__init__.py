"""Reports on a sweep's finished cells."""
