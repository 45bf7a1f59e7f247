"""The table of data sets hangs together."""

import re

import pytest

from pipeline.config.schema import RATING_DATASETS
from pipeline.data.parsers import FORMATS
from pipeline.data.sources import SOURCES


def test_every_rating_data_set_has_a_source():
    assert set(SOURCES) == set(RATING_DATASETS)


@pytest.mark.parametrize("name", SOURCES)
def test_source_is_complete(name):
    source = SOURCES[name]
    assert source.name == name
    assert source.format in FORMATS
    assert source.archive in source.local_names
    assert source.lo < source.hi
    assert (source.hi - source.lo) / source.step == pytest.approx(
        round((source.hi - source.lo) / source.step)
    )
    assert source.licence
    assert source.citation
    if source.urls:
        assert source.urls[0].startswith("https://")
        assert re.fullmatch("[0-9a-f]{64}", source.fingerprint)
    if source.md5:
        assert re.fullmatch("[0-9a-f]{32}", source.md5)
