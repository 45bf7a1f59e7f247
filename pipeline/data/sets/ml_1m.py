"""MovieLens-1M."""

from pipeline.data.cards import RatingSet
from pipeline.data.sets._movielens import CITATION, HOST, TERMS

CARD = RatingSet(
    name="ml-1m",
    title="MovieLens-1M",
    order=70,
    urls=(f"https://{HOST}/ml-1m.zip", f"http://{HOST}/ml-1m.zip"),
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
    licence=TERMS,
    citation=CITATION,
    users={10: 4_985, 20: 3_500},
)
