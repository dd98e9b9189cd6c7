"""Validation, augmentation and features over a real Dask scheduler with two workers: the bytes of one process."""

import datetime
import math
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dask_cluster import Cluster, started
from distributed import Client
from machines import Machine, author
from warm_programs import warm_programs

from ser_ops.errors import UserError
from ser_ops.progress.cluster import ClusterMap, ask_child, code_versions, pack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
IMPATIENT = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
FLOWS = "from pipelines import flows; flows.validate_data(); flows.augment_data()"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A clone with its data, in several small shards of each kind."""
    return author(tmp_path_factory.mktemp("dask"), {}, data={"corpora": ["synthetic_savee", "synthetic_tess"]},
                  augment={"variants": ["original", "noisy", "pitched", "fast_noisy"]},
                  compute={"workers": 1, "shard_megabytes": 1})


@pytest.fixture(scope="module")
def alone(machine: Machine) -> dict[str, bytes]:
    """Every byte that one process of this machine makes."""
    stages = "ingest, validate, augment, features"
    machine.run("python", "-c", f"from ser_ops.stages import {stages}\nfor one in ({stages}): one.main()")
    settings = machine.clone / "params.yaml"
    settings.write_text(settings.read_text().replace("workers: 1\n", "workers: 0\n"))
    return made(machine)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, machine: Machine) -> Iterator[Cluster]:
    """A scheduler and two workers."""
    with started(tmp_path_factory.mktemp("cluster"), {"PYTHONPATH": str(machine.clone)}) as found:
        yield found


def made(machine: Machine, part: str = "") -> dict[str, bytes]:
    work = machine.clone / "work"
    return {file.relative_to(work).as_posix(): file.read_bytes()
            for file in sorted((work / part).rglob("*")) if file.is_file()}


def stage(machine: Machine, name: str, address: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen([warm_programs() / "python", "-m", f"ser_ops.stages.{name}"], cwd=machine.clone, text=True,
                            env=machine.environment | {"DASK_SCHEDULER_ADDRESS": address} | more,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def last_line(process: subprocess.Popen[str]) -> str:
    """What a stage that fails says, once the bar is out of the way; never a traceback."""
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


def until_at_work(cluster: Cluster, name: str, process: subprocess.Popen[str]) -> psutil.Process:
    """The process with which a worker does items of a stage that runs."""
    while process.poll() is None:
        if found := cluster.at_work(name):
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"{name} was never at work: {process.communicate()}")


def in_clone(machine: Machine, address: str, code: str, **variables: str) -> str:
    """What a program prints that runs in the clone."""
    imports = ("import math, signal, time; from distributed import Client; "
               "from ser_ops.progress.spreading import parallel_map")
    done = subprocess.run([warm_programs() / "python", "-c", f"{imports}\n{code}"], cwd=machine.clone, text=True,
                          check=False, capture_output=True, timeout=200,
                          env=machine.environment | {"DASK_SCHEDULER_ADDRESS": address} | variables)
    return done.stdout + done.stderr


def test_flows_and_features_over_the_cluster_make_the_bytes_of_one_process(machine, alone, cluster, stack):
    prefect = {name: value for name, value in stack.environment.items() if name.startswith("PREFECT_")}
    said = replace(machine, given=prefect | {"DASK_SCHEDULER_ADDRESS": cluster.address}).run(
        "python", "-c", FLOWS)
    process = stage(machine, "features", cluster.address)
    assert process.wait(200) == 0, process.communicate()
    assert made(machine) == alone
    done = cluster.done()
    assert all(done[what] >= 2 for what in ("decoding speech", "augment", "features")), done
    assert "Connecting to an existing Dask cluster" in said.stdout + said.stderr
    assert not list(machine.clone.glob(".dask-*")) and not any(map(cluster.at_work, ("worker-0", "worker-1")))


def test_workers_killed_in_the_middle_change_no_byte(machine, alone, cluster):
    process = stage(machine, "features", cluster.address)
    until_at_work(cluster, "worker-1", process).send_signal(signal.SIGKILL)
    until_at_work(cluster, "worker-0", process)
    cluster.kill("worker-0")
    assert process.wait(200) == 0, process.communicate()
    assert made(machine, "features") == {name: data for name, data in alone.items() if name.startswith("features/")}
    cluster.worker("worker-0")


def test_a_damaged_input_is_one_line_wherever_it_is_read(machine, alone, cluster):
    damaged = machine.clone / "work/augmented/waveforms/shard-00001.f32"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:1000])
    try:
        assert "shard-00001.f32: shorter than its index says" in last_line(stage(machine, "features", cluster.address))
    finally:
        damaged.write_bytes(whole)


def test_a_worker_with_other_code_is_refused(machine, alone, cluster, tmp_path):
    other = tmp_path / "workspace"
    other.mkdir()
    for name in ("params.yaml", "presets", "data", "work"):
        (other / name).symlink_to(machine.clone / name)
    (tmp_path / "code").mkdir()
    machine.run("cp", "-r", "ser_ops", str(tmp_path / "code"))
    with (tmp_path / "code/ser_ops/seeds.py").open("a") as file:
        file.write("# another version\n")
    elsewhere = Machine(other, machine.home, {"PYTHONPATH": str(tmp_path / "code")})
    line = last_line(stage(elsewhere, "augment", cluster.address))
    assert line.startswith("error: Dask worker on ") and "has ser_ops " in line and "install the same" in line


def test_a_folder_that_a_worker_does_not_have_or_that_is_another_one_is_one_line(cluster, tmp_path):
    versions = tuple(code_versions().items())
    with Client(cluster.address, set_as_default=False) as client:
        for job, line in ((ClusterMap(Path("/not/there"), "beacon", versions),
                           r"cannot work in /not/there \(No such file"),
                          (ClusterMap(tmp_path, "beacon", versions), "is another folder of the same name")):
            with pytest.raises(UserError, match=line):
                client.submit(ask_child, job, pack(math.sqrt, 4), pure=False).result(timeout=60)


def test_results_in_order_and_no_more_handed_out_than_the_cluster_can_hold(machine, cluster):
    """Four at a time for two threads, and one more that the scheduler has not yet forgotten."""
    assert in_clone(machine, cluster.address, f"""
results = parallel_map(math.sqrt, range(40), "roots")
first = next(results)
with Client({cluster.address!r}) as client:
    held = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
print(held <= 5, [first, *results] == [math.sqrt(number) for number in range(40)])""").startswith("True True\n")


def test_an_item_that_kills_whoever_does_it_is_one_line(machine, cluster):
    said = in_clone(machine, cluster.address, "list(parallel_map(signal.raise_signal, [9, 9], 'dying'))")
    assert "killed 3 times, most likely for lack of memory: start the worker there with fewer --nthreads" in said


def test_a_scheduler_that_goes_and_one_that_never_was(machine, alone, tmp_path):
    with started(tmp_path / "cluster", {"PYTHONPATH": str(machine.clone)}, 1) as cluster:
        address = cluster.address
        process = stage(machine, "features", address, **IMPATIENT)
        until_at_work(cluster, "worker-0", process)
        cluster.kill("scheduler")
        line = last_line(process)
        assert f"the Dask scheduler at {address} has gone" in line or "no Dask scheduler answers" in line
    line = last_line(stage(machine, "features", address, **IMPATIENT))
    assert f"features: no Dask scheduler answers at DASK_SCHEDULER_ADDRESS={address}" in line


def test_a_cluster_without_workers_and_one_whose_worker_lacks_the_project(machine, alone, tmp_path):
    (tmp_path / "ser_ops.py").touch()   # stands before what is installed
    with started(tmp_path / "cluster", {"PYTHONPATH": str(tmp_path)}, 0) as cluster:
        line = last_line(stage(machine, "features", cluster.address, **IMPATIENT))
        assert f"features: no worker has been at the Dask scheduler {cluster.address} for 5 s" in line
        cluster.worker("worker-0")
        line = last_line(stage(machine, "features", cluster.address))
        assert "features: the Dask scheduler or a worker cannot read its task" in line


def test_all_of_it_listens_on_loopback(cluster):
    heard = [connection.laddr.ip for name in cluster.processes for one in cluster.family(name)
             for connection in one.net_connections() if connection.status == psutil.CONN_LISTEN]
    assert heard and set(heard) == {"127.0.0.1"}


def test_with_tls_only_who_has_a_certificate_is_served(machine, tmp_path):
    tls = certified(tmp_path)
    roots = "print(list(parallel_map(math.sqrt, [4, 9], 'roots')))"
    with started(tmp_path / "cluster", {"PYTHONPATH": str(machine.clone), **tls}, 1) as cluster:
        assert cluster.address.startswith("tls://127.0.0.1:")
        assert "[2.0, 3.0]" in in_clone(machine, cluster.address, roots, **tls)
        said = in_clone(machine, cluster.address, roots, **IMPATIENT, **certified(tmp_path / "strange"))
        assert "roots: no Dask scheduler answers at DASK_SCHEDULER_ADDRESS=tls://127.0.0.1:" in said
        assert "asks for a certificate: name one" in in_clone(machine, cluster.address, roots, **IMPATIENT)


def certified(folder: Path) -> dict[str, str]:
    """Dask's own variables for a certificate that signs itself and so is its own authority, new in `folder`."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dask")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                   .sign(key, hashes.SHA256()))
    files = {"CERT": folder / "cert.pem", "KEY": folder / "key.pem"}
    files["CERT"].write_bytes(certificate.public_bytes(Encoding.PEM))
    files["KEY"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = "DASK_DISTRIBUTED__COMM__TLS"
    return {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True", "DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tls",
            f"{tls}__CA_FILE": str(files["CERT"]),
            **{f"{tls}__{role}__{what}": str(file) for role in ("SCHEDULER", "WORKER", "CLIENT")
               for what, file in files.items()}}
