"""Targets: microarchitectures, their families, and ranges of them (``x86_64_v3:zen4``).

The order of microarchitectures is archspec's: one is below another when the other is compatible
with it. Two of different families or of different vendors are not ordered.
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1024)
def _compatible(name: str) -> frozenset[str] | None:
    """Return the names of the targets that `name` can run, itself included; None if unknown."""
    import archspec.cpu  # slow to import, and few queries need it

    target = archspec.cpu.TARGETS.get(name)
    if target is None:
        return None
    return frozenset([name, *(ancestor.name for ancestor in target.ancestors)])


def is_known(name: str) -> bool:
    """Return whether archspec knows a target called `name`."""
    return _compatible(name) is not None


def known_targets() -> list[str]:
    """Return the names of all targets archspec knows."""
    import archspec.cpu

    return sorted(archspec.cpu.TARGETS)


def _at_most(one: str, other: str) -> bool:
    if one == other:
        return is_known(one)
    compatible = _compatible(other)
    return compatible is not None and (_compatible(one) or frozenset([one])) < compatible


def family(name: str) -> str:
    """Return the family of a target (``x86_64`` of ``zen4``); the name itself if unknown."""
    import archspec.cpu

    target = archspec.cpu.TARGETS.get(name)
    return str(target.family) if target is not None else name


def generic(name: str) -> str:
    """Return the best generic target that a target can run (``x86_64_v4`` of ``zen4``)."""
    import archspec.cpu

    target = archspec.cpu.TARGETS.get(name)
    return str(target.generic) if target is not None else name


@lru_cache(maxsize=4096)
def in_targets(name: str, wanted: str) -> bool:
    """Return whether the target `name` is one of `wanted`.

    Parameters
    ----------
    name : str
        One target.
    wanted : str
        Names and ranges separated by commas. A name matches only itself; a range ``low:high``
        can be open at one end. A range with an end that archspec does not know is empty.
    """
    for part in wanted.split(","):
        low, colon, high = part.partition(":")
        if not colon:
            if name == low:
                return True
        elif (not low or _at_most(low, name)) and (not high or _at_most(name, high)):
            return True
    return False


def unknown_ends(wanted: str) -> list[str]:
    """Return the ends of ranges in `wanted` that archspec does not know."""
    ends = [end for part in wanted.split(",") if ":" in part for end in part.split(":", 1)]
    return [end for end in ends if end and not is_known(end)]


def common_targets(ours: str, theirs: str) -> str:
    """Return the targets in both lists of names and ranges; empty when there are none."""
    found = []
    for one in ours.split(","):
        for other in theirs.split(","):
            if ":" not in one:
                if in_targets(one, other):
                    found.append(one)
            elif ":" not in other:
                if in_targets(other, one):
                    found.append(other)
            else:
                both = _common_range(one, other)
                if both is not None:
                    found.append(both)
    return ",".join(found)


def _common_range(one: str, other: str) -> str | None:
    lows, highs = zip(*(part.split(":", 1) for part in (one, other)), strict=True)
    low = _extreme(lows, upper=True)
    high = _extreme(highs, upper=False)
    if low is None or high is None:
        return None
    if low and high:
        if family(low) != family(high) or not _at_most(low, high):
            return None
        if low == high:
            return low
    return f"{low}:{high}"


def _extreme(ends: tuple[str, ...], *, upper: bool) -> str | None:
    """Return the higher or lower of two ends, either of which may be open; None if unrelated."""
    one, other = ends
    if not one or not other:
        return one or other
    if _at_most(one, other):
        return other if upper else one
    if _at_most(other, one):
        return one if upper else other
    return None
