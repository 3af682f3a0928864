"""Requests to the REST API of a Jupyter Server or a JupyterHub."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


def send(url: str, method: str, token: str, body: Any = None) -> tuple[int, bytes]:
    """Send a request with a JSON body, and return the status and the response."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=90) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
