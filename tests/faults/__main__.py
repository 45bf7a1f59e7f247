"""`python -m tests.faults`: accidents for so many minutes, counted into a file.

python -m tests.faults                      all of them, half an hour
python -m tests.faults --only flips         one kind
python -m tests.faults --only soak --minutes 60
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.accidents import ACCIDENTS, SHARES
from tests.faults.bench import Bench, write_record
from tests.faults.soak import soak

KINDS = ACCIDENTS | {"soak": soak}
SHARE_OF_SOAK = 6


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    asked.add_argument("--minutes", type=float, default=30.0)
    asked.add_argument("--only", nargs="*", choices=sorted(KINDS), help="kinds [default: all]")
    asked.add_argument("--seed", type=int, default=0, help="of what is drawn")
    asked.add_argument("--out", type=Path, help="file to write the counts to")
    asked.add_argument("--folder", type=Path, help="to work in [default: a temporary one]")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench, begun = Bench(folder.resolve()), time.monotonic()
        chosen = {name: KINDS[name] for name in given.only or KINDS}
        shares = {name: SHARES.get(name, SHARE_OF_SOAK if name == "soak" else 1) for name in chosen}
        for name, accident in chosen.items():
            now = time.monotonic()
            until = now + 60 * given.minutes * shares[name] / sum(shares.values())
            accident(bench, random.Random(f"{given.seed} {name}"), until)
            print(f"{name}: {time.monotonic() - now:.0f} s, {bench.counts}", flush=True)
        if given.out:
            write_record(given.out, bench, time.monotonic() - begun, given.seed)
    for violation in bench.violations:
        print(f"\nVIOLATION {violation}")
    print(f"{len(bench.violations)} violations")
    return int(bool(bench.violations))


if __name__ == "__main__":
    sys.exit(main())
