"""The pinned packages against the public record of vulnerabilities, as `make audit` asks it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.mark.slow
def test_no_pinned_package_has_a_known_vulnerability():
    command = [sys.executable, "-m", "pip_audit", *(word for name in LOCKS for word in ("--requirement", name)),
               "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("the record did not answer within 300 s")
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        pytest.skip(f"the record cannot be asked from here: {(done.stderr.strip() or 'no answer').splitlines()[-1]}")
    lines = [Requirement(line) for name in LOCKS for line in (PROJECT / name).read_text().splitlines()
             if not line.startswith("#")]
    pins = sum(not line.marker or line.marker.evaluate() for line in lines)
    assert len(packages) == pins
    asked = [one for one in packages if "skip_reason" not in one]
    if len(asked) < pins // 2:
        pytest.skip(f"the record knew only {len(asked)} of {pins} packages: it cannot be reached from here")
    weak = [f"{one['name']} {one['version']}: {fault['id']}, mended in {fault['fix_versions'] or 'no version'}"
            for one in asked for fault in one["vulns"]]
    assert not weak, "\n".join(weak)
