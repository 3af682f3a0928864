"""What spack-kernel costs, as ratios against what a user would do instead."""
