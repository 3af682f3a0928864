"""Where the kernels of a user are. Cheap to import, because every helper knows it."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where the kernels of a user are.

    Attributes
    ----------
    kept : str
        The directory of the user's own kernelspecs.
    recent : str
        The directory of the recent ones.
    others : list of str
        The other directories in which the server looks for kernelspecs.
    """

    kept: str
    recent: str
    others: list[str] = []
