"""Build the documentation site: `python -m infra.site`. Warnings and foreign hosts are errors."""

import argparse
import logging
import os
import sys
from pathlib import Path

os.environ["NO_MKDOCS_2_WARNING"] = "1"

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, MkDocsException

from infra.site.hosts import find_foreign
from infra.site.reference import ROOT
from infra.site.word_count import count_words


def main(argv: list[str] | None = None) -> int:
    """Build, look for foreign hosts, and say how many pages and words there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "out/site"), help="folder to make")
    out = Path(parser.parse_args(argv).out)
    logging.basicConfig(level=logging.WARNING, format="site: %(message)s")
    try:
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(out), strict=True)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
        config.plugins.on_shutdown()
    except (Abort, MkDocsException) as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    pages = sorted(out.rglob("*.html"))
    looked_at = [*pages, *out.rglob("*.css")]
    foreign = [one for path in looked_at for one in find_foreign(path.read_text(encoding="utf-8"))]
    for line in sorted(set(foreign)):
        print(f"site: a page loads {line} from elsewhere", file=sys.stderr)
    words = sum(count_words(page.read_text(encoding="utf-8")) for page in pages)
    print(f"site: {len(pages)} pages, {words:,} words, in {out}")
    return 1 if foreign else 0


if __name__ == "__main__":
    sys.exit(main())
