"""``spack-kernel list --environments``: list a site's Spack environments as kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tables import column_widths, folded, ipykernel_text, line

if TYPE_CHECKING:
    from spack_kernel.kernels.candidates import EnvironmentCandidate
    from spack_kernel.spack.store import Store

    from .console import Console

_COLUMNS = ("ENVIRONMENT", "ROOTS", "INSTALLED", "VIEWS", "PYTHON", "IPYKERNEL")


def list_environments(store: Store, console: Console) -> None:
    """Print the managed environments of the Spack instance that `store` was opened through.

    Raises
    ------
    EnvironmentNotFound
        When the store is only an install tree, which has no environments.
    ConfigError
        When the configuration is invalid, or the directory cannot be read.
    """
    from spack_kernel.kernels.candidates import environments_of

    root, found = environments_of(store)
    if console.json:
        console.print_json([each.as_dict(str(root / name)) for name, each in found.items()])
        return
    candidates = [*found.values()]
    if found:
        _print_table(candidates, console)
    if console.out.isatty() or not found:
        console.out.flush()
        able = sum(not candidate.why_not for candidate in candidates)
        console.note(f"{able} of {len(found)} Spack environments in {root} can be kernels")
        if not found:
            console.note("`spack env create NAME` creates one.")


def _print_table(found: list[EnvironmentCandidate], console: Console) -> None:
    rows = [_row(candidate) for candidate in found]
    last = len(_COLUMNS) - 1
    widths = column_widths([_COLUMNS, *rows], console.width, [last])
    console.print(console.style("dim", line(_COLUMNS, widths)))
    for candidate, row in zip(found, rows, strict=True):
        for cells in folded(row, widths):
            cells[0] = console.style("bold", cells[0])
            if candidate.why_not:
                cells[last] = console.style("yellow", cells[last])
            console.row(cells)


def _row(candidate: EnvironmentCandidate) -> tuple[str, ...]:
    able = candidate.able
    python = able[0].python if able else None
    environment = candidate.environment
    return (
        candidate.name,
        str(len(environment.roots)) if environment else "-",
        _installed(candidate),
        ", ".join(environment.views) or "-" if environment else "-",
        str(python.version) if python else "-",
        f"none: {candidate.why_not}" if candidate.why_not else ipykernel_text(able[0]),
    )


def _installed(candidate: EnvironmentCandidate) -> str:
    if candidate.environment is None or not candidate.environment.roots:
        return "-"
    count = len(candidate.environment.roots)
    if not candidate.missing:
        return "yes"
    return f"{count - len(candidate.missing)} of {count}"
