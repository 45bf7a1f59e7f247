"""MovieLens-100K."""

from pipeline.data.cards import RatingSet
from pipeline.data.sets._movielens import CITATION, HOST, TERMS

CARD = RatingSet(
    name="ml-100k",
    title="MovieLens-100K",
    order=60,
    urls=(f"https://{HOST}/ml-100k.zip", f"http://{HOST}/ml-100k.zip"),
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
    licence=TERMS,
    citation=CITATION,
    users={10: 829, 20: 575},
)
