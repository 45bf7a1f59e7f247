"""Numbers as people read them."""

import math

_BOOLEANS = {"true": "yes", "false": "no"}


def number(text: str) -> str:
    """A CSV value with four significant digits; what is no number stays."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    value = as_float(text)
    if value is None or "_" in text:
        return text
    if value == int(value) and abs(value) < 1e9 and "e" not in text.lower():
        return minus(f"{int(value):,}" if abs(value) >= 10_000 else str(int(value)))
    return minus(f"{value:.4g}")


def with_error(mean: str, stderr: str) -> str:
    """`mean ± stderr`, both to two significant digits of the error; blank without a mean."""
    value, error = as_float(mean), as_float(stderr)
    if value is None:
        return ""
    if error is None or error <= 0:
        return number(mean)
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 6)
    if decimals == 6 or abs(value) >= 1e5:
        return f"{number(mean)} ± {error:.2g}"
    return minus(f"{value:.{decimals}f} ± {error:.{decimals}f}")


def percent(text: str) -> str:
    """A gain with its sign, in percent."""
    value = as_float(text)
    return "" if value is None else minus(f"{value:+.1f} %")


def as_float(text: str) -> float | None:
    """The finite number that a text is, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def minus(text: str) -> str:
    """With a real minus sign before the number; exponents keep theirs."""
    return f"−{text[1:]}" if text.startswith("-") else text


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
