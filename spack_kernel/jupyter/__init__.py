"""The faces toward Jupyter: provisioner, kernelspecs, discovery."""
