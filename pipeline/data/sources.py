"""The rating data sets: where they come from, what must be in them, and on what terms.

A new data set is one more entry in `SOURCES` (and a reader in `parsers.FORMATS` only if its
format is new).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One rating data set.

    Attributes:
        name: key in `SOURCES` and name of the derived files.
        title: the name used in tables and figures.
        urls: places to download from, in the order in which they are tried.
        archive: file name under which the archive is stored.
        local_names: file names accepted in the user's own folder, in this order.
        md5: of the official archive, None where none was published.
        member: path inside the zip of the file that holds the ratings.
        format: key of `parsers.FORMATS`.
        lo, hi, step: lowest and highest rating and the distance between two ratings.
        n_ratings, n_users, n_items: expected counts, None if the archive itself decides.
        fingerprint: expected `ratings.fingerprint`; None: stated in the zip's comment.
        licence, citation: one line each.
        advice: what to do when the content is not what was expected, beyond the usual.
    """

    name: str
    title: str
    urls: tuple[str, ...]
    archive: str
    local_names: tuple[str, ...]
    md5: str | None
    member: str
    format: str
    lo: float
    hi: float
    step: float
    n_ratings: int | None
    n_users: int | None
    n_items: int | None
    fingerprint: str | None
    licence: str
    citation: str
    advice: str = ""


_MOVIELENS_TERMS = (
    "GroupLens: research use with acknowledgement; no redistribution and no commercial use "
    "without permission"
)
_MOVIELENS_CITATION = (
    "F. M. Harper, J. A. Konstan. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5(4), 2015. doi:10.1145/2827872"
)
_GROUPLENS = "files.grouplens.org/datasets/movielens"

# Plain http addresses come last: they were the official ones for years and still answer when
# the host's certificate has expired. What they send is checked like everything else.
_ALL = (
    Source(
        name="ml-100k",
        title="MovieLens-100K",
        urls=(f"https://{_GROUPLENS}/ml-100k.zip", f"http://{_GROUPLENS}/ml-100k.zip"),
        archive="ml-100k.zip",
        local_names=("ml-100k.zip",),
        md5="0e33842e24a9c977be4e0107933c0723",
        member="ml-100k/u.data",
        format="tab",
        lo=1.0,
        hi=5.0,
        step=1.0,
        n_ratings=100_000,
        n_users=943,
        n_items=1_682,
        fingerprint="7395c39115d1321cd9aaefed7316a2a0c0d97d92be1017865a4ec6da9bde1630",
        licence=_MOVIELENS_TERMS,
        citation=_MOVIELENS_CITATION,
    ),
    Source(
        name="ml-1m",
        title="MovieLens-1M",
        urls=(f"https://{_GROUPLENS}/ml-1m.zip", f"http://{_GROUPLENS}/ml-1m.zip"),
        archive="ml-1m.zip",
        local_names=("ml-1m.zip",),
        md5="c4d9eecfca2ab87c1945afe126590906",
        member="ml-1m/ratings.dat",
        format="double-colon",
        lo=1.0,
        hi=5.0,
        step=1.0,
        n_ratings=1_000_209,
        n_users=6_040,
        n_items=3_706,
        fingerprint="015fe2284c2a9650037ebe4817e7f8e3f9b3cc079e9b98376db5fe2d8583c223",
        licence=_MOVIELENS_TERMS,
        citation=_MOVIELENS_CITATION,
    ),
    Source(
        name="ml-latest-small-2016",
        title="MovieLens latest-small (October 2016)",
        urls=(
            f"https://{_GROUPLENS}/ml-latest-small.zip",
            f"http://{_GROUPLENS}/ml-latest-small.zip",
        ),
        archive="ml-latest-small-2016-10.zip",
        local_names=("ml-latest-small-2016-10.zip", "ml-latest-small.zip"),
        md5=None,
        member="ml-latest-small/ratings.csv",
        format="csv",
        lo=0.5,
        hi=5.0,
        step=0.5,
        n_ratings=100_004,
        n_users=671,
        n_items=9_066,
        fingerprint="e68415f8d3841ea8ee4ed376f6286a8bca97b84a37f258b42bcabef765f635fc",
        licence=_MOVIELENS_TERMS,
        citation=_MOVIELENS_CITATION,
        advice=(
            "The official address keeps the name ml-latest-small.zip but now serves a later "
            "release (100,836 ratings by 610 users, since September 2018); what is needed here "
            "is the release of October 2016 (100,004 ratings by 671 users)"
        ),
    ),
    Source(
        name="jester-1",
        title="Jester-1",
        urls=(
            "https://eigentaste.berkeley.edu/dataset/jester_dataset_1_1.zip",
            "https://goldberg.berkeley.edu/jester-data/jester-data-1.zip",
            "http://eigentaste.berkeley.edu/dataset/jester_dataset_1_1.zip",
            "http://www.ieor.berkeley.edu/~goldberg/jester-data/jester-data-1.zip",
        ),
        archive="jester_dataset_1_1.zip",
        local_names=("jester_dataset_1_1.zip", "jester-data-1.zip"),
        md5=None,
        member="jester-data-1.xls",
        format="jester-xls",
        lo=-10.0,
        hi=10.0,
        step=0.01,
        n_ratings=1_810_455,
        n_users=24_983,
        n_items=100,
        fingerprint="f7f6654ebcfc6b79ce2116fcd74fcb0d0f7b3aca357c8d9e48838297e2354a6e",
        licence="Freely available for research use when acknowledged",
        citation=(
            "K. Goldberg, T. Roeder, D. Gupta, C. Perkins. Eigentaste: A Constant Time "
            "Collaborative Filtering Algorithm. Information Retrieval 4(2), 2001"
        ),
    ),
    Source(
        name="simulated",
        title="Simulated ratings",
        urls=(),
        archive="simulated.zip",
        local_names=("simulated.zip",),
        md5=None,
        member="simulated/u.data",
        format="tab",
        lo=1.0,
        hi=5.0,
        step=1.0,
        n_ratings=None,
        n_users=None,
        n_items=None,
        fingerprint=None,
        licence="Made by pipeline/data/simulated.py: no person gave these ratings",
        citation="Simulated by this pipeline",
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ALL}
