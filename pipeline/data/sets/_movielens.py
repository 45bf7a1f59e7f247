"""What the MovieLens data sets share.

Plain http addresses come last: they were the official ones for years and still answer when the
host's certificate has expired. What they send is checked like everything else.
"""

TERMS = (
    "GroupLens: research use with acknowledgement; no redistribution and no commercial use "
    "without permission"
)
CITATION = (
    "F. M. Harper, J. A. Konstan. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5(4), 2015. doi:10.1145/2827872"
)
HOST = "files.grouplens.org/datasets/movielens"
