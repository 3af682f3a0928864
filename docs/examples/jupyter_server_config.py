"""What every user's server reads: which installed specs are offered as kernels.

Lies in a directory of JUPYTER_CONFIG_PATH, which comes before the users' own configuration.
"""

c = get_config()  # noqa: F821 - Jupyter defines it

c.ServerApp.kernel_spec_manager_class = "spack_kernel.jupyter.discovery.SpackKernelSpecManager"
c.SpackKernelSpecManager.stores = ["/sw/spack/opt/spack"]
c.SpackKernelSpecManager.queries = ["py-libensemble", "py-matplotlib@3:"]
c.SpackKernelSpecManager.environments = []

# `pip install --user` for one Python must not break the kernels of another.
c.SpackProvisioner.user_site = False

# A cold file system is slow; the default is 30 seconds.
c.SpackProvisioner.start_timeout = 60.0

# With plain TCP every user of the node can read what others compute. Kernels that can encrypt do;
# for the others, sockets in the file system that only their owner may enter.
c.KernelManager.transport_encryption = "auto"
c.KernelManager.transport = "ipc"
