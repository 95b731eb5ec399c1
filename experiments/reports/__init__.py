"""Reports on the finished cells of sweeps."""
