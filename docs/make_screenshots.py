"""Take the pictures in docs/images anew: ``python docs/make_screenshots.py [STORE]``.

Each is taken by the test of what it shows, so that none shows what is not so. Run it as root for
the picture of JupyterHub, which needs accounts. STORE is a demo store, made where it is not there.
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
    """Run the tests that take pictures."""
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
