"""Kernelspecs: what they contain, how they are named, and where they are installed."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .content import (
        PROVISIONER_NAME as PROVISIONER_NAME,
        kernel_command as kernel_command,
        kernel_dict as kernel_dict,
        notebook_content as notebook_content,
        starts_ipykernel as starts_ipykernel,
        store_paths as store_paths,
    )
    from .files import (
        find_kernelspec as find_kernelspec,
        install_kernelspec as install_kernelspec,
        kernels_directory as kernels_directory,
        list_kernelspecs as list_kernelspecs,
        remove_kernelspec as remove_kernelspec,
        write_kernelspec as write_kernelspec,
    )
    from .installed import (
        InstalledKernelSpec as InstalledKernelSpec,
        provisioner_of as provisioner_of,
        read_kernel_json as read_kernel_json,
    )
    from .jobs import (
        SLURM_PROVISIONER_NAME as SLURM_PROVISIONER_NAME,
        in_job as in_job,
        job_label as job_label,
        split_config as split_config,
    )
    from .names import (
        NOTEBOOK_DISPLAY_NAME as NOTEBOOK_DISPLAY_NAME,
        NOTEBOOK_NAME as NOTEBOOK_NAME,
        parse_name as parse_name,
    )
    from .places import Place as Place
    from .shared import closed_to_others as closed_to_others
    from .user_kernels import UserKernel as UserKernel

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "content": (
            "PROVISIONER_NAME kernel_command kernel_dict notebook_content "
            "starts_ipykernel store_paths"
        ),
        "files": (
            "find_kernelspec install_kernelspec kernels_directory list_kernelspecs "
            "remove_kernelspec write_kernelspec"
        ),
        "installed": "InstalledKernelSpec provisioner_of read_kernel_json",
        "jobs": "SLURM_PROVISIONER_NAME in_job job_label split_config",
        "names": "NOTEBOOK_DISPLAY_NAME NOTEBOOK_NAME parse_name",
        "places": "Place",
        "shared": "closed_to_others",
        "user_kernels": "UserKernel",
    },
)
