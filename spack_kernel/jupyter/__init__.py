"""The Jupyter integration: provisioner, kernelspecs, discovery."""
