"""The texts that the page is made with: template, style, prose, captions."""

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
# one caption per table and figure, shared with `snakemake --report`
CAPTIONS = HERE.parents[1] / "workflow" / "report"
# where Snakemake's report sends its reader; the page itself says the finding
_ELSEWHERE = "The finding in words: `tables/findings.json`."
SUFFIXES = (".css", ".j2", ".md")


def caption(kind: str, name: str) -> str:
    """The caption of a `table` or `figure`; empty when none is written."""
    path = CAPTIONS / f"{kind}_{name}.rst"
    text = " ".join(path.read_text(encoding="utf-8").split()) if path.is_file() else ""
    return text.replace(_ELSEWHERE, "").replace("`", "").strip()


def prose(name: str) -> str:
    """The text of `pipeline/report/{name}`."""
    return (HERE / name).read_text(encoding="utf-8")


def texts_digest() -> str:
    """Digest of all of them: with that of the code, it says when a page is stale."""
    total = hashlib.sha256()
    own = (path for path in HERE.iterdir() if path.suffix in SUFFIXES)
    for path in sorted([*own, *CAPTIONS.glob("*.rst")], key=lambda path: path.name):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]
