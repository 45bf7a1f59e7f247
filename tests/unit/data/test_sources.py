"""The table of data sets hangs together."""

import re

import pytest

from pipeline.data import families as FAMILY_FOLDER
from pipeline.data import sets as SETS
from pipeline.data.families import FAMILIES
from pipeline.data.families import MODULES as FAMILY_MODULES
from pipeline.data.parsers import reader_of
from pipeline.data.sets import MODULES as SOURCE_MODULES
from pipeline.data.sets import SOURCES


def test_a_cards_file_has_its_name():
    folders = {SETS: SOURCE_MODULES, FAMILY_FOLDER: FAMILY_MODULES}
    for package, modules in folders.items():
        for name, module in modules.items():
            stem = name.removesuffix("-released").replace("-", "_")
            assert module == f"{package.__name__}.{stem}"


def test_data_sets_have_places_of_their_own():
    cards = [*SOURCES.values(), *FAMILIES.values()]
    assert len({card.order for card in cards}) == len({card.name for card in cards}) == len(cards)


@pytest.mark.parametrize("name", SOURCES)
def test_source_is_complete(name):
    source = SOURCES[name]
    assert source.name == name
    assert callable(reader_of(source.format))
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
