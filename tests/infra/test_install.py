"""infra/install.sh with small packages in the place of PyPI's: which Python, which build of torch, what is said."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
BACKEND = """
import shutil
def build_editable(folder, settings=None, metadata=None):
    shutil.copy("ser_ops-0.1.0-py3-none-any.whl", folder)
    return "ser_ops-0.1.0-py3-none-any.whl"
"""

pytestmark = pytest.mark.slow


def wheel(folder: Path, name: str, version: str, *modules: str) -> Path:
    """Write a wheel of empty modules."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    files = {**dict.fromkeys(modules, ""),
             f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
             f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(path, content)
    return file


def index(folder: Path, *wheels: Path) -> str:
    """The address of an index of these wheels."""
    for file in wheels:
        page = folder / file.name.split("-")[0] / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f'<a href="{file.as_uri().replace("+", "%2B")}">{file.name}</a>')
    return folder.as_uri()


class Small:
    """A project of the same build and name as this one, small packages, and what install.sh does with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        project = folder / "project"
        (project / "infra").mkdir(parents=True)
        shutil.copy(PROJECT / "infra" / "install.sh", project / "infra")
        (project / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\n'
                                                'backend-path = ["."]\n')
        (project / "backend.py").write_text(BACKEND)
        wheel(project, "ser_ops", "0.1.0", "ser_ops.py")
        (project / "requirements.lock").write_text('# pinned\nlibrosa==1.0\ntorch==2.13.0\n'
                                                   'absent==9; python_version >= "3.99"\n')
        (project / "requirements-dev.lock").write_text("tool==1.0\n")
        self.pypi = index(folder / "pypi", wheel(folder / "wheels", "tool", "1.0", "tool.py"),
                          wheel(folder / "wheels", "torch", "2.13.0", "torch.py"),
                          wheel(folder / "wheels", "librosa", "1.0", "librosa/__init__.py", "librosa/core/pitch.py"))
        self.cpu = index(folder / "cpu", wheel(folder / "wheels", "torch", "2.13.0+cpu", "torch.py"))

    def install(self, venv: str, path: str = "/usr/bin:/bin", lock: str = "requirements.lock",
                **given: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        return subprocess.run(["bash", str(self.folder / "project/infra/install.sh"), str(self.folder / venv),
                               lock], capture_output=True, text=True, timeout=300,
                              env=kept | {"PATH": path, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.pypi,
                                          "PIP_NO_CACHE_DIR": "1", "PYTHON": sys.executable,
                                          "TORCH_CPU_INDEX": self.cpu} | given)

    def installed(self, venv: str) -> dict[str, str]:
        said = subprocess.run([str(self.folder / venv / "bin/python"), "-c", "from importlib import metadata\n"
                               "for package in metadata.distributions(): print(package.name, package.version)"],
                              capture_output=True, text=True, check=True).stdout
        return dict(line.split() for line in said.splitlines())


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Small:
    small = Small(tmp_path_factory.mktemp("install"))
    subprocess.run([sys.executable, "-m", "venv", str(small.folder / "empty")], check=True)
    return small


@pytest.fixture
def venv(small, request) -> str:
    """A new virtual environment: a copy is faster than another one."""
    shutil.copytree(small.folder / "empty", small.folder / request.node.name, symlinks=True)
    return str(request.node.name)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyPI's torch has no CUDA")
@pytest.mark.skipif(Path("/usr/bin/nvidia-smi").exists(), reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_torch_is_the_build_for_the_cpu(small, venv):
    done = small.install(venv)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"install: requirements.lock into {small.folder / venv}; minutes, where it is new\n"
    packages = small.installed(venv)
    assert packages["torch"] == "2.13.0+cpu" and packages["librosa"] == "1.0" and "ser-ops" in {
        name.replace("_", "-") for name in packages}
    again = small.install(venv, TORCH_CPU_INDEX="http://127.0.0.1:9/whl/cpu")
    assert (again.returncode, again.stderr) == (0, ""), "what is there is not asked for again"
    more = small.install(venv, lock="requirements-dev.lock")
    assert (more.returncode, more.stderr) == (0, "")
    assert small.installed(venv)["tool"] == "1.0" and small.installed(venv)["torch"] == "2.13.0+cpu"


@pytest.mark.skipif(Path("/usr/bin/nvidia-smi").exists(), reason="this machine has an NVIDIA GPU")
def test_where_that_build_cannot_be_had_one_line_says_what_follows(small, venv):
    done = small.install(venv, TORCH_CPU_INDEX="http://127.0.0.1:9/whl/cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ("install: no torch==2.13.0 at http://127.0.0.1:9/whl/cpu: PyPI's build follows, with 4 GB "
                           "of CUDA libraries\n")
    assert small.installed(venv)["torch"] == "2.13.0"


def test_with_a_gpu_torch_is_that_of_pypi(small, venv):
    tools = small.folder / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text("#!/bin/sh\n")
    (tools / "nvidia-smi").chmod(0o755)
    done = small.install(venv, path=f"{tools}:/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert small.installed(venv)["torch"] == "2.13.0"


@pytest.mark.parametrize("python", ["/nowhere/python3.12", "/bin/false"])
def test_a_python_that_does_not_do_is_one_line_and_leaves_nothing(small, python):
    done = small.install("none", PYTHON=python)
    assert done.returncode == 1
    assert done.stderr == (f"install: {python} is no Python 3.11, 3.12 or 3.13: install one, or name it with "
                           "PYTHON=/path/to/python3.12\n")
    assert not (small.folder / "none").exists()


def test_the_first_python_on_the_path_that_does_is_taken(small):
    tools = small.folder / "path"
    tools.mkdir()
    for name, starts in (("python3.11", "/bin/false"), ("python3.12", sys.executable)):
        (tools / name).write_text(f'#!/bin/sh\nexec {starts} "$@"\n')
        (tools / name).chmod(0o755)
    for tool in ("bash", "dirname", "grep", "uname", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    done = small.install("found", path=str(tools), PYTHON="")
    assert done.returncode == 0, done.stderr
    (tools / "python3.12").unlink()
    missing = small.install("none", path=str(tools), PYTHON="")
    assert missing.stderr.startswith("install: no Python 3.11, 3.12 or 3.13 is here: ")
