"""The record as tables for people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.table import table

Entry = Mapping[str, Any]


def text(record: Mapping[str, Any]) -> str:
    """All tables, one after the other."""
    rates = record["machine_gflops"]
    parts = [
        f"{record['device']}, torch {record['torch']}, {record['threads']} thread(s), "
        f"{record['tasks']} tasks of {record['rows']}+{record['rows']} rows, "
        f"{record['parameters']} parameters, {record['dtype']}; medians\n"
        f"batched matrix products on this machine: {rates['hidden_layer']:.1f} GFLOP/s in the "
        f"hidden layer's shape, {rates['large']:.1f} large",
        _tables(record["entries"]),
    ]
    if record["many_tasks"]["entries"]:
        parts.append(f"{record['many_tasks']['tasks']:,} tasks in a batch")
        parts.append(_over(record["many_tasks"]["entries"], "ms per meta-update", milliseconds))
    parts += [_growth(record["scaling"]), _targets(record["targets"]), _remarks(record)]
    return "\n\n".join(part for part in parts if part)


def milliseconds(entry: Entry) -> str:
    """Median, or why there is none."""
    if entry["seconds"] is None:
        return str(entry["status"])
    return f"{1e3 * entry['seconds']['median']:.3g}"


def _spread(entry: Entry) -> str:
    if entry["seconds"] is None:
        return "-"
    return f"{1e3 * entry['seconds']['q1']:.3g}..{1e3 * entry['seconds']['q3']:.3g}"


def _number(name: str, form: str, scale: float = 1.0) -> Callable[[Entry], str]:
    def cell(entry: Entry) -> str:
        value = entry.get(name)
        return "-" if value is None else format(value * scale, form)

    return cell


def _counted(entry: Entry) -> str:
    found = entry.get("counts")
    return "-" if found is None else f"{found['gradients']}+{found['hvps']}"


def _kept(entry: Entry) -> str:
    found = entry.get("counts", {}).get("kept_bytes")
    return f"{found / 1e6:.2f}" if found else "-"


def _over(entries: Sequence[Entry], title: str, cell: Callable[[Entry], str]) -> str:
    """Candidates down, horizons across."""
    horizons = sorted({entry["inner_steps"] for entry in entries})
    rows: dict[str, dict[int, str]] = {}
    for entry in entries:
        rows.setdefault(entry["title"], {})[entry["inner_steps"]] = cell(entry)
    return table(
        f"{title}, at a horizon of so many gradient-descent steps",
        ["", *(f"{steps:,}" for steps in horizons)],
        ([name, *(row.get(steps, "-") for steps in horizons)] for name, row in rows.items()),
    )


def _tables(entries: Sequence[Entry]) -> str:
    return "\n\n".join(
        _over(entries, title, cell)
        for title, cell in (
            ("ms per meta-update", milliseconds),
            ("ms, quartiles", _spread),
            ("relative error of the meta-gradient", _number("relative_error", ".1e")),
            ("cosine with the converged meta-gradient", _number("cosine", ".5f")),
            ("gradients + Hessian-vector products", _counted),
            ("GFLOP/s of these", _number("gflops", ".2f")),
            ("to be kept for the way back as predicted, MB", _kept),
            ("peak memory of tensors, MB", _number("peak_tensor_bytes", ".2f", 1e-6)),
            ("peak growth of the process, MB", _number("peak_process_bytes", ".1f", 1e-6)),
        )
    )


def _growth(entries: Sequence[Entry]) -> str:
    rows = []
    for entry in entries:
        for point in entry["points"]:
            ms = f"{1e3 * point['seconds']['median']:.3g}"
            rows.append([entry["title"], entry["against"], f"{point['size']:,}", ms])
        if entry["exponent"] is not None:
            last = entry["last_decade_exponent"]
            tail = "" if last is None else f"; last decade {last:.2f}"
            rows.append(["", entry["against"], "exponent", f"{entry['exponent']:.2f}{tail}"])
    head = ["", "against", "size", "ms"]
    return table("ms per meta-update against size", head, rows) if rows else ""


def _targets(rows: Sequence[Entry]) -> str:
    if not rows:
        return ""
    verdict = {True: "yes", False: "NO", None: "not available"}
    return table(
        "wanted (one CPU thread, float32, medians) and reached",
        ["", "wanted", "reached", "holds"],
        (
            [
                row["title"],
                f"{row['sign']} {row['wanted']:g}",
                "-" if row["reached"] is None else f"{row['reached']:.3g}",
                verdict[row["holds"]],
            ]
            for row in rows
        ),
    )


def _remarks(record: Mapping[str, Any]) -> str:
    """Why something is missing, each reason once."""
    lines = []
    for entry in [*record["entries"], *record["many_tasks"]["entries"]]:
        if entry["status"] != "ok":
            steps = "" if entry["status"] == "absent" else f" at {entry['inner_steps']:,} steps"
            lines.append(f"{entry['title']}{steps}: {entry['status']}: {entry['message']}")
        if entry.get("memory_message"):
            lines.append(
                f"{entry['title']} at {entry['inner_steps']:,} steps: memory: "
                f"{entry['memory_message']}"
            )
    for entry in record["scaling"]:
        if entry["message"]:
            lines.append(f"{entry['title']} against {entry['against']}: {entry['message']}")
    lines += [
        f"{name}: {extra['message']}"
        for name, extra in record["extras"].items()
        if extra["message"]
    ]
    return "\n".join(dict.fromkeys(lines))
