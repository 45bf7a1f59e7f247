"""Let `dvc plots diff` draw without a network.

DVC's page loads Vega from the network. Snakemake brings the same scripts for its report: they
are written into a page template that this clone's `.dvc/config.local` names.
"""

import subprocess
import sys
from pathlib import Path

import snakemake.assets  # noqa: TID251

TEMPLATE = Path(".dvc/plots/offline.html")  # DVC looks for it relative to .dvc
SCRIPTS = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")


def main() -> None:
    folder = Path(snakemake.assets.__file__).parent / "data"
    scripts = "\n".join(
        f"<script>{(folder / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS
    )
    TEMPLATE.write_text(
        f'<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n<title>DVC plots</title>\n'
        f"{scripts}\n</head>\n<body>\n{{plot_divs}}\n</body>\n</html>\n",
        encoding="utf-8",
    )
    dvc = Path(sys.executable).parent / "dvc"
    command = [dvc, "config", "--local", "plots.html_template", "plots/offline.html"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
