"""Configuration of every user's server: which installed specs it offers as kernels.

This file is in a directory of JUPYTER_CONFIG_PATH, which takes precedence over user configuration.
"""

c = get_config()  # noqa: F821 - Jupyter defines it

c.ServerApp.kernel_spec_manager_class = "spack_kernel.jupyter.discovery.SpackKernelSpecManager"
c.SpackKernelSpecManager.stores = ["/sw/spack/opt/spack"]
c.SpackKernelSpecManager.queries = ["py-libensemble", "py-matplotlib@3:"]
c.SpackKernelSpecManager.environments = []

# Packages from `pip install --user` for one Python must not break the kernels of another.
c.SpackProvisioner.user_site = False

# File systems are slow while nothing is cached; both defaults are 60 seconds.
c.SpackProvisioner.plan_timeout = 120.0
c.SpackProvisioner.start_timeout = 120.0

# With plain TCP, every user of the node can read the outputs of other users. Kernels that support
# encryption use it; the others use Unix domain sockets that only their owner can access.
c.KernelManager.transport_encryption = "auto"
c.KernelManager.transport = "ipc"
