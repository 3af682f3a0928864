"""Jupyter kernels that start in the environment of an installed Spack spec."""

__version__ = "0.1.0"

#: Names the store where nobody else does; several paths are separated as in PATH.
STORE_VARIABLE = "SPACK_KERNEL_STORE"
