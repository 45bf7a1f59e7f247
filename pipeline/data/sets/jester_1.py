"""Jester-1, ratings of jokes: where it is from, its licence, its format and its parser."""

from pipeline.data.cards import RatingSet

CARD = RatingSet(
    name="jester-1",
    title="Jester-1",
    order=40,
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
    users={10: 24_983, 20: 24_983},
)
