"""Which seeds one job trains together."""

from collections.abc import Iterable


def seed_blocks(seeds: Iterable[int], size: int) -> dict[int, list[int]]:
    """Seeds by block: block b has the given seeds among b size, ..., (b + 1) size - 1.

    A seed's block depends on no other seed, so that another seed in the grid changes the job of
    its own block only.
    """
    blocks: dict[int, list[int]] = {}
    for seed in sorted(seeds):
        blocks.setdefault(seed // size, []).append(seed)
    return blocks
