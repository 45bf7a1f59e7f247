"""MovieLens latest-small, the release of October 2016."""

from pipeline.data.cards import RatingSet
from pipeline.data.sets._movielens import CITATION, HOST, TERMS

CARD = RatingSet(
    name="ml-latest-small-2016",
    title="MovieLens latest-small (Oct. 2016)",
    order=50,
    urls=(
        f"https://{HOST}/ml-latest-small.zip",
        f"http://{HOST}/ml-latest-small.zip",
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
    licence=TERMS,
    citation=CITATION,
    advice=(
        "The official address keeps the name ml-latest-small.zip but now serves a later "
        "release (100,836 ratings by 610 users, since September 2018); what is needed here "
        "is the release of October 2016 (100,004 ratings by 671 users)"
    ),
    users={10: 489, 20: 338},
)
