"""What MkDocs loads as hooks: it knows files, no packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from infra.site.hooks import on_config, on_files, on_page_markdown

__all__ = ["on_config", "on_files", "on_page_markdown"]
