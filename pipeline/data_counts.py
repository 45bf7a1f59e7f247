"""How many users rate enough: a fact of each rating data set, counted by `build_rating_tasks`.

Tables are rebuilt where no rating data is at hand, so the counts stand here; tests with the
real archives (tests/unit/data/test_realdata.py) hold them to what the archives give.
"""

TASK_COUNTS: dict[str, dict[int, int]] = {
    "jester-1": {10: 24_983, 20: 24_983},
    "ml-latest-small-2016": {10: 489, 20: 338},
    "ml-100k": {10: 829, 20: 575},
    "ml-1m": {10: 4_985, 20: 3_500},
}
"""Data set -> threshold -> users with at least so many ratings of its 100 most-rated items."""
