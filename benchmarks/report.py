"""The record as tables for people."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from benchmarks import operations
from benchmarks.table import table

Entry = Mapping[str, Any]
PAIRS = {  # of the comparisons of our own code: title, and what is over what
    "index_against_dense": ("one-hot rows / item indices", "dense", "index"),
    "learned_rates": ("a learned rate of each parameter / none", "rated", "plain"),
}


def text(record: Mapping[str, Any], parts: Collection[str] | None = None) -> str:
    """The tables of some parts, or all with the targets, one after the other."""
    shown = [make(record) for name, make in TABLES if parts is None or name in parts]
    if parts is None:
        shown.append(_targets(record["targets"]))
    shown += [_remarks(record), _took(record)]
    return "\n\n".join(part for part in [_head(record), *shown] if part)


def _head(record: Mapping[str, Any]) -> str:
    lines = [
        f"{record['device']}, torch {record['torch']}, {record['threads']} thread(s), "
        f"{record['tasks']} tasks of {record['rows']}+{record['rows']} rows, "
        f"{record['parameters']} parameters, {record['dtype']}; medians"
    ]
    if rates := record["machine_gflops"]:
        lines.append(
            f"batched matrix products on this machine: {rates['hidden_layer']:.1f} GFLOP/s in "
            f"the hidden layer's shape, {rates['large']:.1f} large"
        )
    return "\n".join(lines)


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
    """Gradients + products on the way back + products for the spectral radius, if told apart."""
    found = entry.get("counts")
    if found is None:
        return "-"
    radius = found.get("radius_hvps", 0)
    shown = f"{found['gradients']}+{found['hvps'] - radius}"
    return f"{shown}+{radius}" if radius else shown


def _megabytes(entry: Entry) -> str:
    """Predicted to be kept for the way back, where the method predicts it; measured peak."""
    kept = entry.get("counts", {}).get("kept_bytes")
    peak = entry.get("peak_tensor_bytes")
    if peak is None and not kept:
        return "-"
    measured = "-" if peak is None else f"{peak / 1e6:.2f}"
    return f"{kept / 1e6:.2f} / {measured}" if kept else measured


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


def _each(entries: Sequence[Entry], cells: Sequence[tuple[str, Callable[[Entry], str]]]) -> str:
    """One table over the horizons for each title."""
    return "\n\n".join(_over(entries, title, cell) for title, cell in cells) if entries else ""


def _horizons(record: Mapping[str, Any]) -> str:
    cells = (
        ("ms per meta-update", milliseconds),
        ("ms, quartiles", _spread),
        ("relative error of the meta-gradient", _number("relative_error", ".1e")),
        ("cosine with the converged meta-gradient", _number("cosine", ".5f")),
        ("gradients + products on the way back + products for the spectral radius", _counted),
        ("GFLOP/s of these", _number("gflops", ".2f")),
    )
    compiled = [entry for entry in record["entries"] if entry.get("compile_seconds")]
    once = ("seconds to compile, once, not in the times", _number("compile_seconds", ".2f"))
    parts = [_each(record["entries"], cells), _each(compiled, (once,)), _gain(record["entries"])]
    return "\n\n".join(part for part in parts if part)


def _gain(entries: Sequence[Entry]) -> str:
    """How much faster `amaml` is than its first form, and by what."""
    ms = {
        (entry["candidate"], entry["inner_steps"]): entry["seconds"]["median"]
        for entry in entries
        if entry["seconds"] is not None
    }
    forms = ("amaml", "amaml_repeated", "amaml_prototype")
    every = sorted({steps for _, steps in ms})
    horizons = [steps for steps in every if all((form, steps) in ms for form in forms)]
    if not horizons:
        return ""
    kinds = (
        ("leaner closed forms", "amaml_prototype", "amaml_repeated"),
        ("passes not repeated", "amaml_repeated", "amaml"),
        ("both", "amaml_prototype", "amaml"),
    )
    return table(
        "amaml, times as fast as its first form, at a horizon of so many steps",
        ["", *(f"{steps:,}" for steps in horizons)],
        (
            [title, *(f"{ms[slow, steps] / ms[fast, steps]:.2f}" for steps in horizons)]
            for title, slow, fast in kinds
        ),
    )


def _memory(record: Mapping[str, Any]) -> str:
    cells = (
        (
            "MB of tensors: predicted to be kept for the way back / measured peak "
            "(JAX: allotted by its compiler)",
            _megabytes,
        ),
        (
            "peak growth of the process, MB (not of JAX: its compiler has raised the peak before)",
            _number("peak_process_bytes", ".1f", 1e-6),
        ),
    )
    return _each(record["entries"], cells)


def _many_tasks(record: Mapping[str, Any]) -> str:
    found = record["many_tasks"]
    if not found["entries"]:
        return ""
    shown = _each(found["entries"], (("ms per meta-update", milliseconds),))
    return f"{found['tasks']:,} tasks in a batch\n\n{shown}"


def _extras(record: Mapping[str, Any]) -> str:
    """Ratios of our own code to itself."""
    rows = []
    for name, found in record["extras"].items():
        for key, (title, first, second) in PAIRS.items():
            if name.startswith(key):
                times = _compared(found[first]["median"], found[second]["median"])
                what = f"{title}, {found['tasks']} tasks, {found['method']}"
                rows.append([what, f"{found['inner_steps']:,}", *times])
    for entry in record["extras"].get("three_seeds", {}).get("entries", ()):
        title = f"3 seeds in one job / one alone, {entry['work']}, {entry['method']}"
        together, alone = entry["together"], entry["alone"]
        times = ["-"] * 3
        if entry["message"] is None:
            one = sum(seed["median"] for seed in alone) / len(alone)
            times = _compared(together["median"], one)
        rows.append([title, f"{entry['inner_steps']:,}", *times])
    head = ["ms per meta-update", "steps", "first", "second", "ratio"]
    return table("of our own code", head, rows) if rows else ""


def _compared(first: float, second: float) -> list[str]:
    return [f"{1e3 * first:.3g}", f"{1e3 * second:.3g}", f"{first / second:.2f}"]


def _took(record: Mapping[str, Any]) -> str:
    if not record["took"]:
        return ""
    return "took " + ", ".join(f"{name} {took:.0f} s" for name, took in record["took"].items())


def _growth(record: Mapping[str, Any]) -> str:
    rows = []
    for entry in record["scaling"]:
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
    lines = [f"{title} failed: {error}" for title, error in record["failures"].items()]
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


TABLES: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("horizons", _horizons),
    ("memory", _memory),
    ("many-tasks", _many_tasks),
    ("scaling", _growth),
    ("extras", _extras),
    ("operations", lambda record: operations.text(record["operations"])),
)
