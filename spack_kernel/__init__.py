"""Jupyter kernels that start in the environment of an installed Spack spec."""

__version__ = "0.1.0"
