"""The ratings file of one data set: parsed, compared with what is known of it, written."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data import schemas
from pipeline.data.cards import RatingSet
from pipeline.data.parsers import parse_archive
from pipeline.data.parsers_zip import read_comment, remedy
from pipeline.errors import BadInput

_CHUNK = 1 << 18  # rows formatted at a time: bounds the memory of the text


def fingerprint(ratings: pd.DataFrame) -> str:
    """Return the sha256 of the lines `user,item,rating\\n`, sorted by user then item.

    Integers as they stand, the rating with two decimals. It depends on the content alone: not
    on the order of the rows, the format or the packing.

    Args:
        ratings: columns user and item (integers) and rating, in any order of rows.
    """
    user, item = ratings["user"].to_numpy(), ratings["item"].to_numpy()
    order = np.lexsort((item, user))
    # There are few different ratings: format each once, then look the texts up.
    hundredths = np.rint(ratings["rating"].to_numpy(dtype=np.float64) * 100).astype(np.int64)
    values, codes = np.unique(hundredths, return_inverse=True)
    texts = pa.array([f"{value / 100:.2f}\n" for value in values.tolist()], type=pa.string())
    digest = hashlib.sha256()
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        lines = pc.binary_join_element_wise(
            pa.array(user[rows]).cast(pa.string()),
            pa.array(item[rows]).cast(pa.string()),
            texts.take(pa.array(codes[rows])),
            ",",
        )
        # The data buffer of a string array is its strings, one after the other.
        end = int(np.frombuffer(lines.buffers()[1], dtype=np.int32)[len(rows)])
        digest.update(memoryview(lines.buffers()[2])[:end])
    return digest.hexdigest()


def build_ratings(
    source: RatingSet, archive: Path, out: Path, *, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Parse `archive`, verify counts and content, and write the ratings to `out`.

    Args:
        metadata: further entries for the file's metadata.

    Returns:
        The file's metadata: dataset, title, kind, fingerprint, ratings, users, items, lo, hi,
        step, licence, citation and the entries of `metadata`.

    Raises:
        BadInput: a bad archive (see `parsers.parse_archive`), or a sound one whose content is
            not that of `source`.
    """
    ratings, found = check_archive(source, archive)
    summary = {
        **metadata,
        **found,
        "kind": "ratings",
        "dataset": source.name,
        "title": source.title,
        "lo": source.lo,
        "hi": source.hi,
        "step": source.step,
        "licence": source.licence,
        "citation": source.citation,
    }
    columns = {name: ratings[name].to_numpy() for name in schemas.RATINGS.names}
    schemas.write_rows(out, columns, schemas.RATINGS, summary)
    return summary


def check_archive(source: RatingSet, archive: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The ratings of an archive that are those of `source`, their counts and fingerprint.

    Raises:
        BadInput: as `build_ratings`.
    """
    ratings = parse_archive(source, archive)
    found = {
        "ratings": len(ratings),
        "users": int(ratings["user"].nunique()),
        "items": int(ratings["item"].nunique()),
        "fingerprint": fingerprint(ratings),
    }
    _check_content(source, archive, found)
    return ratings, found


def _check_content(source: RatingSet, archive: Path, found: Mapping[str, Any]) -> None:
    """Refuse ratings that are well-formed but not those of `source`."""
    expected = source.fingerprint or _stated_fingerprint(source, archive)
    if found["fingerprint"] == expected:
        return
    sizes = f"{found['ratings']:,} ratings by {found['users']:,} users of {found['items']:,} items"
    needed = f"content fingerprint {expected}"
    if source.n_ratings is not None:
        needed = (
            f"{source.n_ratings:,} ratings by {source.n_users:,} users of {source.n_items:,} "
            f"items with {needed}"
        )
    advice = source.advice or "It is another release, or its ratings have been changed"
    raise BadInput(
        f"{archive}: {source.member} is not {source.title}: found {sizes} with content "
        f"fingerprint {found['fingerprint']}, but {needed} is needed. {advice}. {remedy(source)}"
    )


def _stated_fingerprint(source: RatingSet, archive: Path) -> str:
    """Return the fingerprint that an archive without a known one states in its comment."""
    comment = read_comment(archive)
    match = re.search(r"fingerprint=([0-9a-f]{64})", comment)
    if match is None:
        raise BadInput(
            f"{archive}: found the zip comment '{comment[:60]}', but 'fingerprint=' and the "
            f"sha256 of the ratings are needed there ({source.title}). {remedy(source)}"
        )
    return match.group(1)
