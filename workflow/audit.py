"""Say what `pip-audit` found in the packages of the lock; end with 1 where one is vulnerable.

Its list of known vulnerabilities comes from the package index. Where there is none, as without a
network, this says so and ends with 0: a package that could not be looked up is not a finding.
"""

import json
import sys
from pathlib import Path

# identifier of a vulnerability that does not concern this project: why not
EXCEPTIONS: dict[str, str] = {}


def judged(report: dict) -> tuple[list[str], str]:
    """Vulnerabilities, a line each, and how many packages were looked up."""
    packages = report["dependencies"]
    looked_up = [package for package in packages if "skip_reason" not in package]
    found = [
        f"{package['name']} {package['version']}: {known['id']}, mended in "
        f"{', '.join(known['fix_versions']) or 'no version yet'}"
        for package in looked_up
        for known in package["vulns"]
        if not EXCEPTIONS.keys() & {known["id"], *known.get("aliases", ())}
    ]
    said = f"{len(looked_up)} of {len(packages)} packages of the lock looked up"
    if len(looked_up) < len(packages):
        said += "; of the others no list of vulnerabilities could be had"
    return found, said


def main() -> int:
    path = Path(sys.argv[1])
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        print(f"not audited, pip-audit gave no report: see {path.with_suffix('.log')}")
        return 0
    found, said = judged(report)
    print(*found, said, sep="\n")
    if found:
        print(
            "Needed: other versions in pyproject.toml, then `make lock`; or an exception with its "
            "reason in workflow/audit.py.",
            file=sys.stderr,
        )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
