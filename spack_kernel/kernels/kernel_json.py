"""Read kernel.json files, whoever wrote them."""

from __future__ import annotations

import json
from typing import Any

KERNEL_FILE = "kernel.json"

#: The largest kernel.json that is read, in bytes.
MAX_KERNEL_JSON_SIZE = 1024 * 1024


def parse_kernel_json(text: bytes) -> dict[str, Any]:
    """Return the content of a kernel.json.

    Raises
    ------
    ValueError
        When it is not a JSON object.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content
