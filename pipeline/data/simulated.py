"""A seeded, simulated rating set in a MovieLens-100K archive: the rating path with no network.

    rating = clip(round(mean + user + item + <p_user, q_item> + noise), 1, 5)

with Gaussian terms (the usual latent-factor model, Koren, Bell, Volinsky, Computer 42(8),
2009). The factors are most of the signal, so a method that learns from a user's few ratings
what else he likes can beat the item mean plus the user's offset.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.ratings import fingerprint
from pipeline.files import replacing

FOLDER = "simulated"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment: no clock in the bytes


def draw_ratings(
    *,
    seed: int = 0,
    users: int = 400,
    items: int = 150,
    rank: int = 3,
    mean_ratings: float = 50.0,
    mean: float = 3.3,
    user_std: float = 0.4,
    item_std: float = 0.4,
    factor_std: float = 0.9,
    noise_std: float = 0.4,
) -> pd.DataFrame:
    """Draw ratings of popular and less popular items.

    Args:
        seed: of the one generator that is used.
        users, items: their numbers; ids count from 1.
        rank: number of latent factors.
        mean_ratings: average number of ratings per user; single users have very different
            numbers, 1 to `items`.
        mean: overall mean before clipping, in rating units, as are the following.
        user_std, item_std: standard deviations of the users' and the items' offsets.
        factor_std: standard deviation of the product of the factors.
        noise_std: standard deviation of what nothing explains.

    Returns:
        Columns user int32, item int32 and rating float32, sorted by user then item.
    """
    generator = np.random.default_rng(seed)
    n_rated = generator.gamma(2.0, mean_ratings / 2.0, size=users)
    n_rated = np.clip(np.rint(n_rated), 1, items).astype(np.int64)
    # Popularity falls off as 1/sqrt(rank of the item); adding Gumbel noise to the logarithm of
    # the weight and taking the largest draws without replacement in proportion to the weight.
    log_weight = -0.5 * np.log(generator.permutation(items) + 1.0)
    order = (-(log_weight + generator.gumbel(size=(users, items)))).argsort(axis=1)
    user, place = np.nonzero(np.arange(items) < n_rated[:, None])
    item = order[user, place]

    p = generator.normal(size=(users, rank))
    q = generator.normal(size=(items, rank)) * factor_std / np.sqrt(rank)
    score = (
        mean
        + generator.normal(0.0, user_std, size=users)[user]
        + generator.normal(0.0, item_std, size=items)[item]
        + (p[user] * q[item]).sum(axis=1)
        + generator.normal(0.0, noise_std, size=len(user))
    )
    ratings = pd.DataFrame(
        {
            "user": (user + 1).astype(np.int32),
            "item": (item + 1).astype(np.int32),
            "rating": np.clip(np.rint(score), 1, 5).astype(np.float32),
        }
    )
    return ratings.sort_values(["user", "item"], ignore_index=True)


def write_simulated(out: Path, **parameters: float) -> Path:
    """Write `draw_ratings(**parameters)` as an archive; the same parameters, the same bytes.

    Members `simulated/u.data` (tab-separated as in MovieLens-100K, timestamps 0) and
    `simulated/README`; the zip's comment states the content's fingerprint.
    """
    ratings = draw_ratings(**parameters)  # type: ignore[arg-type]
    lines = ratings.assign(rating=ratings["rating"].astype(np.int64), timestamp=0)
    table = lines.to_csv(sep="\t", header=False, index=False, lineterminator="\n")
    stated = ", ".join(f"{name} {value}" for name, value in sorted(parameters.items()))
    readme = (
        "SIMULATED ratings: drawn from a latent-factor model by a seeded generator.\n"
        "No person gave them. They serve to run the rating pipeline without a download.\n"
        f"Parameters: {stated or 'the defaults'}.\n"
    )
    content = io.BytesIO()
    # Stored, not deflated: compressors differ between builds of zlib, stored bytes do not.
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, text in (("README", readme), ("u.data", table)):
            member = zipfile.ZipInfo(f"{FOLDER}/{name}", date_time=_EPOCH)
            member.create_system = 3  # Unix, whatever the machine
            member.external_attr = 0o644 << 16
            archive.writestr(member, text)
        archive.comment = f"SIMULATED fingerprint={fingerprint(ratings)}".encode("ascii")
    with replacing(out) as beside:
        beside.write_bytes(content.getvalue())
    return out
