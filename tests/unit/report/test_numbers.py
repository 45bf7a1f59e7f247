"""Numbers as people read them."""

import pytest

from pipeline.report.numbers import listed, number, percent, with_error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.123456", "0.1235"),
        ("-0.5", "−0.5"),
        ("12", "12"),
        ("-1", "−1"),
        ("123456", "123,456"),
        ("2.0", "2"),
        ("1.5e-07", "1.5e-07"),
        ("true", "yes"),
        ("false", "no"),
        ("", ""),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("alpine-50shot", "alpine-50shot"),
    ],
)
def test_number(text: str, shown: str) -> None:
    assert number(text) == shown


@pytest.mark.parametrize(
    ("mean", "stderr", "shown"),
    [
        ("0.160312", "0.00418907", "0.1603 ± 0.0042"),
        ("2.80", "0.11", "2.80 ± 0.11"),
        ("-1.2345", "0.1", "−1.23 ± 0.10"),
        ("153.2", "12.3", "153 ± 12"),
        ("0.5", "", "0.5"),
        ("0.5", "0", "0.5"),
        ("", "0.1", ""),
        ("0.5", "1e-9", "0.5 ± 1e-09"),
    ],
)
def test_mean_and_error_have_the_digits_of_the_error(mean: str, stderr: str, shown: str) -> None:
    assert with_error(mean, stderr) == shown


def test_percent_and_lists() -> None:
    assert [percent(text) for text in ("83.5024", "-2", "")] == ["+83.5 %", "−2.0 %", ""]
    assert [listed(words) for words in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]
