"""Captions: shared with Snakemake's report, whose reader needs one sentence more."""

import pytest

from pipeline.report.texts import CAPTIONS, caption

NAMES = sorted(path.stem for path in CAPTIONS.glob("*_*.rst"))


@pytest.mark.parametrize("name", NAMES)
def test_captions_on_the_page_are_plain_and_send_nobody_elsewhere(name):
    text = caption(*name.split("_", 1))
    assert text
    assert "findings.json" not in text
    assert "`" not in text


def test_what_has_no_caption_has_an_empty_one():
    assert caption("figure", "unheard_of") == ""
