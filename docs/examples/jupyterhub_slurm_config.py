"""JupyterHub for users whose servers run in Slurm jobs.

It extends jupyterhub_config.py, next to this file, and needs batchspawner.
"""

import batchspawner  # noqa: F401 - lets the server in a job report its port to the hub

c = get_config()  # noqa: F821 - Jupyter defines it
load_subconfig("jupyterhub_config.py")  # noqa: F821 - Jupyter defines it

c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"

# Servers on other nodes connect to the hub: it listens on all interfaces, and this is its address
# in the cluster.
c.JupyterHub.hub_ip = "0.0.0.0"  # noqa: S104 - behind the firewall of the cluster
c.JupyterHub.hub_connect_ip = "hub.cluster"

# Jobs go on while the hub restarts; it finds them again.
c.JupyterHub.cleanup_servers = False

# Jobs may wait before they start.
c.Spawner.start_timeout = 600

# The Python that runs the server, whatever is first in the user's PATH.
c.Spawner.cmd = ["/sw/jupyter/bin/jupyterhub-singleuser"]
c.SlurmSpawner.batchspawner_singleuser_cmd = "/sw/jupyter/bin/batchspawner-singleuser"

# The hub runs as root, so it needs no sudo to submit jobs as the user.
c.SlurmSpawner.exec_prefix = "runuser -u {username} --"

# The server is no step of the job, so that srun in a cell can use all of the job's CPUs.
c.SlurmSpawner.req_srun = ""
c.SlurmSpawner.req_runtime = "8:00:00"
c.SlurmSpawner.req_options = "--nodes=2 --ntasks=4"

# Shell code that the job runs before the server. The kernels get the variables as well, but for the
# directories of the server's own Python. The first line undoes what a user's shell startup files do
# to every Python; with the second, `srun` in a JupyterLab terminal passes on all variables.
c.SlurmSpawner.req_prologue = """
unset PYTHONPATH PYTHONHOME
unset SLURM_EXPORT_ENV SLURM_GET_USER_ENV
export PATH=/sw/jupyter/bin:$PATH
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
"""
