"""Ratings drawn from a latent-factor model by this pipeline."""

from pipeline.data.cards import RatingSet

CARD = RatingSet(
    name="simulated",
    title="SIMULATED ratings",
    order=30,
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
    simulated=True,
)
