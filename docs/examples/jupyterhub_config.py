"""A JupyterHub for everybody with an account, who find the site's Spack specs as kernels.

What each user's own server reads stands beside this file, in jupyter_server_config.py.
"""

c = get_config()  # noqa: F821 - Jupyter defines it

# Who may log in: everybody with a password on this machine. Their servers run as themselves.
c.JupyterHub.authenticator_class = "pam"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"

# Where the hub is reached; put TLS in front of it, or set c.JupyterHub.ssl_cert and ssl_key.
c.JupyterHub.bind_url = "http://:8000"

# What a user gets. A server that is started for the first time reads much from a cold file system.
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 120

# The site's directory, readable by all users on all nodes where their servers run. Its etc/ holds
# jupyter_server_config.py, its share/jupyter/kernels the kernels that an admin has made.
c.Spawner.environment = {
    "JUPYTER_CONFIG_PATH": "/sw/jupyter/etc",
    "JUPYTER_PATH": "/sw/jupyter/share/jupyter",
}
