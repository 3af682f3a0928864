"""The cost of spack-kernel, as ratios to what a user would do instead."""
