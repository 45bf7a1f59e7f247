"""What comes in, spoilt at random: it is taken, or refused in one message; nothing else, in time.

`FUZZ_EXAMPLES=5000 pytest -n0 tests/unit/test_fuzz.py` tries that many of each kind.
"""

import io
import os
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.load import read_config
from pipeline.config.schema import check_params, load_params
from pipeline.data.cards import OwnRatings, OwnTable
from pipeline.data.own_look import look_at
from pipeline.data.own_tasks import build_own_ratings, build_table_tasks
from pipeline.data.ratings import build_ratings
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput
from tests.archives import RATING_SETS, some_ratings, tiny_source, write_archive
from tests.unit.tiny_runs import write_config

ROOT = Path(__file__).parents[2]
RAW = read_config(ROOT / "params.yaml")
SECONDS = 60.0  # that one example may take on a loaded machine
fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SPOILT = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),  # where
        st.integers(0, 9),  # bytes taken away
        st.binary(max_size=9)
        | st.sampled_from([b"\0", b"\xff" * 4, b"\n", b'"', b"&a *a", b"!!set"]),
    ),
    min_size=1,
    max_size=4,
)


def spoilt(content, places):
    for where, gone, put in places:
        at = int(where * len(content))
        content = content[:at] + put + content[at + gone :]
    return content


def taken_or_refused(work, *given, folder, **named):
    """Whether `work` does its work; else it is one message, and leaves what it found."""
    before = sorted(path.name for path in folder.iterdir())
    started = time.monotonic()
    try:
        work(*given, **named)
    except BadInput:
        assert sorted(path.name for path in folder.iterdir()) == before
        return False
    finally:
        assert time.monotonic() - started < SECONDS
    return True


@fuzzed
@given(places=SPOILT)
def test_parameter_files(places, tmp_path):
    content = (ROOT / "params.yaml").read_bytes()
    path = tmp_path / "params.yaml"
    if not path.exists():
        write_config(tmp_path, RAW | {"grids": {"ci": RAW["grids"]["ci"]}, "grid": "ci"})
    path.write_bytes(spoilt(content.replace(b"quickstart", b"ci"), places))
    taken_or_refused(load_params, path, folder=tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@fuzzed
@given(section=st.sampled_from(sorted(RAW.keys() - {"grids"})), data=st.data())
def test_values_of_parameters(section, data, tmp_path):
    raw = dict(RAW)
    if isinstance(raw[section], dict) and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(raw[section])))
        raw[section] = raw[section] | {key: data.draw(VALUES)}
    else:
        raw[section] = data.draw(VALUES)
    taken_or_refused(check_params, raw, folder=tmp_path)


@pytest.mark.parametrize("name", RATING_SETS)
@fuzzed
@given(places=SPOILT, inside=st.booleans())
def test_archives(name, places, inside, tmp_path):
    archive, out = tmp_path / "a.zip", tmp_path / "out.parquet"
    damage = (lambda content: spoilt(content, places)) if inside else None
    write_archive(archive, name, some_ratings(2, 3), damage=damage)
    if not inside:
        archive.write_bytes(spoilt(archive.read_bytes(), places))
    source = tiny_source(name, some_ratings(2, 3))
    if taken_or_refused(build_ratings, source, archive, out, metadata={}, folder=tmp_path):
        out.unlink()
    assert SOURCES[name].largest == source.largest


TABLE = pd.DataFrame(
    {
        "site": list("aabbcc"),
        "x": [0.5, 1, 2, 3, 4, 5],
        "kind": list("uvuvuv"),
        "y": [1.0, 2, 3, 4, 5, 6],
    }
)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@fuzzed
@given(places=SPOILT)
def test_own_files(suffix, places, tmp_path):
    content = io.BytesIO()
    getattr(TABLE, f"to_{suffix}")(content, index=False)
    file, out = tmp_path / f"own.{suffix}", tmp_path / "out.parquet"
    file.write_bytes(spoilt(content.getvalue(), places))
    taken_or_refused(look_at, file, folder=tmp_path)
    table = OwnTable("own", file, "site", ("x", "kind"), "y")
    ratings = OwnRatings("own", file, user="site", item="x", rating="y")
    for work, given_file in ((build_table_tasks, table), (build_own_ratings, ratings)):
        if taken_or_refused(work, given_file, out, metadata={}, folder=tmp_path):
            out.unlink()
