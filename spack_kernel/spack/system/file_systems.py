"""Which file systems are on this machine, and which are shared with others."""

from __future__ import annotations

import os

#: The types of file systems in which another machine can remove a file that is open here.
_NETWORK = frozenset(
    [
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs"),
        *("virtiofs", "wekafs", "daos", "dvs"),
    ]
)

_MOUNTS = "/proc/self/mountinfo"


def is_network(device: int) -> bool:
    """Return whether a file system is shared with other machines, or may be.

    Parameters
    ----------
    device : int
        Its ``st_dev``.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(_MOUNTS, encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.split(" ")
                if len(fields) > 2 and fields[2] == number:
                    kind = line.partition(" - ")[2].partition(" ")[0]
                    return kind in _NETWORK or kind.startswith("fuse")
    except OSError:
        return True
    return True
