"""Run the quick start: install a kernel for py-libensemble and run a notebook in it.

``python notebooks/quickstart.py STORE`` needs the packages from ``pip install '.[demo]'``. STORE is
a demo store as built by ``spack-kernel demo STORE``; it is built if it does not exist.
"""

from __future__ import annotations

import argparse
import base64
import os
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from spack_kernel import demo
from spack_kernel.spack.errors import SpackKernelError

NOTEBOOK = Path(__file__).with_name("quickstart.ipynb")
KERNEL = "spack-quickstart"


def main() -> int:
    """Install the kernel, run the notebook, and print where each module came from."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="a demo store; it is built if it does not exist")
    parser.add_argument(
        "--output", type=Path, default=Path("quickstart-output"), help="directory for the results"
    )
    args = parser.parse_args()
    try:
        return quickstart(args)
    except (SpackKernelError, CellExecutionError) as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError:
        pass  # the command has printed the error
    return 1


def quickstart(args: argparse.Namespace) -> int:
    """Build the store, install the kernel, run the notebook and print the results."""
    store = demo.build(args.store, progress=lambda step: print(step.phase, step.subject))
    output = args.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    install_kernel(store, output)
    executed = output / NOTEBOOK.name
    notebook = run_notebook(output)
    nbformat.write(notebook, executed)

    print("\nWhere each imported module came from:\n")
    print(text_of(tagged(notebook, "origins")))
    print(f"The executed notebook: {executed}")
    for number, image in enumerate(images_of(notebook), 1):
        path = output / f"plot-{number}.png"
        path.write_bytes(image)
        print(f"The plot:              {path}")
    print("Next, to start the kernel yourself, step by step or in your own Jupyter installation:")
    print(f"  export JUPYTER_PATH={shlex.quote(kernels(output))}")
    print(f"  {command()} check {KERNEL}")
    return 0


def command() -> str:
    """Return the ``spack-kernel`` command line for use in the working directory."""
    script = Path(sys.executable).with_name("spack-kernel")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m spack_kernel"
    if script.is_relative_to(Path.cwd()):
        script = script.relative_to(Path.cwd())
    return shlex.quote(str(script))


def kernels(prefix: Path) -> str:
    """Return the ``JUPYTER_PATH`` entry with which Jupyter finds the kernels in `prefix`."""
    return str(prefix / "share" / "jupyter")


def install_kernel(store: demo.DemoStore, prefix: Path) -> None:
    """Install a kernel for py-libensemble, by its abbreviated hash, and py-matplotlib.

    The kernel is installed in a separate directory, so that no other environment is changed.
    """
    known = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [kernels(prefix), known]))
    query = f"py-libensemble/{store.hash('py-libensemble')[:7]}"
    words = ["--store", str(store.root), "install", query, "py-matplotlib"]
    words += ["--name", KERNEL, "--prefix", str(prefix)]
    print(f"\n$ {command()} {shlex.join(words)}", flush=True)
    installed = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "spack_kernel", *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    # The next steps depend on JUPYTER_PATH, so quickstart() prints its own instead of these.
    print(installed.stdout.partition("Next:")[0], end="", flush=True)


def run_notebook(directory: Path) -> nbformat.NotebookNode:
    """Run the notebook in the kernel, in `directory`, and return it with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    started = 0

    def show(cell: nbformat.NotebookNode, **_: object) -> None:
        nonlocal started
        if cell.cell_type == "code":
            started += 1
            print(f"running cell {started} of {total}", flush=True)

    print(f"\n{NOTEBOOK.name} in the kernel {KERNEL}:")
    NotebookClient(
        notebook,
        kernel_name=KERNEL,
        timeout=300,
        resources={"metadata": {"path": str(directory)}},
        on_cell_start=show,
    ).execute()
    return notebook


def tagged(notebook: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode:
    """Return the cell with `tag`."""
    (cell,) = (cell for cell in notebook.cells if tag in cell.metadata.get("tags", ()))
    return cell


def text_of(cell: nbformat.NotebookNode) -> str:
    """Return the text output of `cell`."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def images_of(notebook: nbformat.NotebookNode) -> list[bytes]:
    """Return every PNG image among the outputs."""
    return [
        base64.b64decode(output.data["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]


if __name__ == "__main__":
    sys.exit(main())
