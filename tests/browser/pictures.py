"""Screenshots for the documentation: small files, taken when the page has settled."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page


def save_picture(page: Page, path: Path) -> None:
    """Save a screenshot of a page as a PNG with a palette."""
    page.mouse.move(0, 0)
    data = page.screenshot(animations="disabled", caret="hide")
    image = Image.open(io.BytesIO(data)).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
