"""Update the screenshots in docs/images: ``python docs/make_screenshots.py [STORE]``.

Each screenshot is taken by the test of the feature that it shows, so it always matches the actual
behaviour. The JupyterHub screenshot needs user accounts, so run this as root for it. STORE is a
demo store, which is built if it does not exist.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def main() -> int:
    """Run the tests that take screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", nargs="?", help="a demo store (default: that of the tests)")
    args = parser.parse_args()
    environment = {**os.environ, "SPACK_KERNEL_PICTURES": str(DOCS / "images")}
    if args.store:
        environment["SPACK_KERNEL_DEMO_STORE"] = str(Path(args.store).absolute())
    with tempfile.TemporaryDirectory(prefix="site-") as scratch:
        command = [sys.executable, "-m", "pytest", "-q", "tests/browser", f"--basetemp={scratch}/t"]
        return subprocess.run(command, cwd=DOCS.parent, env=environment, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
