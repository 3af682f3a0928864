"""Dates as the options ``--start-date`` and ``--end-date`` of `spack find` read them."""

from __future__ import annotations

import argparse
import contextlib
import re
from datetime import datetime, timedelta

_FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
_AGO = re.compile(r"(an?|\d+)\s*(year|month|week|day|hour|minute|second)s?\s*ago")
_DAYS = {"year": 365, "month": 30, "week": 7, "day": 1}


def date(text: str) -> float:
    """Return the time that an option names, in seconds since the epoch.

    Parameters
    ----------
    text : str
        ``2026``, ``2026-11``, ``2026-11-25``, the same with a time, ``yesterday`` or ``2 weeks
        ago``, in local time.

    Raises
    ------
    ArgumentTypeError
        When it is none of these.
    """
    now = datetime.now()
    ago = _AGO.fullmatch(text.strip())
    if text.strip() in ("now", "today", "yesterday"):
        return (now - timedelta(days=text.strip() == "yesterday")).timestamp()
    if ago is not None:
        count = int(ago[1]) if ago[1].isdigit() else 1
        unit = {f"{ago[2]}s": count} if ago[2] not in _DAYS else {"days": count * _DAYS[ago[2]]}
        try:
            return (now - timedelta(**unit)).timestamp()
        except (OverflowError, ValueError):
            raise argparse.ArgumentTypeError(f"{text!r} is too long ago") from None
    for form in _FORMATS:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text.strip(), form).timestamp()
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a date: write 2026-11-25, 2026-11, yesterday or '2 weeks ago'"
    )
