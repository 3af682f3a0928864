"""Jupyter kernels that start in the environment of an installed Spack spec."""

__version__ = "0.1.0"

#: The environment variable that names the store if no option does; several paths are separated as
#: in PATH.
STORE_VARIABLE = "SPACK_KERNEL_STORE"
