"""What `make audit` says of what `pip-audit` found."""

import json
from pathlib import Path

import pytest

from workflow import audit

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
UNKNOWN = {"name": "yte", "skip_reason": "Dependency not found on PyPI"}
BROKEN = {
    "name": "pillow",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-2025-1", "fix_versions": ["2.0"], "aliases": ["CVE-2025-1"]}],
}


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    report = tmp_path / "audit.json"
    report.write_text(text)
    monkeypatch.setattr("sys.argv", ["audit.py", str(report)])
    return audit.main()


def test_a_vulnerable_package_ends_it_with_1_and_is_named(tmp_path, monkeypatch, capsys) -> None:
    assert run(tmp_path, monkeypatch, json.dumps({"dependencies": [SOUND, BROKEN]})) == 1
    said = capsys.readouterr()
    assert "pillow 1.0: PYSEC-2025-1, mended in 2.0" in said.out
    assert "2 of 2 packages" in said.out
    assert "make lock" in said.err


def test_what_could_not_be_looked_up_is_counted_and_no_finding(
    tmp_path, monkeypatch, capsys
) -> None:
    assert run(tmp_path, monkeypatch, json.dumps({"dependencies": [SOUND, UNKNOWN]})) == 0
    assert "1 of 2 packages of the lock looked up; of the others" in capsys.readouterr().out


def test_an_exception_is_known_by_either_of_its_names(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(audit, "EXCEPTIONS", {"CVE-2025-1": "pictures of our own alone are read"})
    assert run(tmp_path, monkeypatch, json.dumps({"dependencies": [BROKEN]})) == 0


def test_without_a_report_it_says_so(tmp_path, monkeypatch, capsys) -> None:
    assert run(tmp_path, monkeypatch, "") == 0
    assert "not audited" in capsys.readouterr().out
