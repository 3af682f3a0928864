"""JupyterHub for all users with an account, with the site's Spack specs as kernels.

The configuration of the users' servers is in jupyter_server_config.py, next to this file.
"""

c = get_config()  # noqa: F821 - Jupyter defines it

# All users with a password on this machine can log in. Each server runs as its user.
c.JupyterHub.authenticator_class = "pam"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"

# The address of the hub. Use a TLS proxy, or set c.JupyterHub.ssl_cert and ssl_key.
c.JupyterHub.bind_url = "http://:8000"

# A server that starts for the first time reads many files, which is slow if nothing is cached.
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 120

# The site's directory, readable by all users on all nodes that run their servers. Its etc/ contains
# jupyter_server_config.py, its share/jupyter/kernels the kernels that an admin has installed.
c.Spawner.environment = {
    "JUPYTER_CONFIG_PATH": "/sw/jupyter/etc",
    "JUPYTER_PATH": "/sw/jupyter/share/jupyter",
    # For `spack-kernel` in a JupyterLab terminal.
    "SPACK_KERNEL_STORE": "/sw/spack/opt/spack",
}
