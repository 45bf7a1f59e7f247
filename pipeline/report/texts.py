"""The prose that the page is made with."""

from pathlib import Path

HERE = Path(__file__).parent


def prose(name: str) -> str:
    """The text of `pipeline/report/{name}`."""
    return (HERE / name).read_text(encoding="utf-8")
