"""Cores, threads and the device that trains."""

import os
from collections.abc import Iterator

from ser_ops.config import Params
from ser_ops.doctor.finding import Finding
from ser_ops.errors import UserError
from ser_ops.progress.processes import cores


def look(params: Params) -> Iterator[Finding]:
    """Cores that this process may use, memory, threads per process, and what compute.device means here."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("machine", "cores", "ok", f"{cores(0)} cores, {memory:.0f} GiB of memory")
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads not in (None, "1") and cores(0) > 1:
        yield Finding("machine", "threads", "warning", f"OMP_NUM_THREADS is {threads}",
                      "set it to 1: there is a process per core already, and more threads only slow each other")
    yield _device(params)


def _device(params: Params) -> Finding:
    import torch

    from ser_ops.device import device_of
    try:
        name = str(device_of(params.compute.device))
    except UserError as error:
        fault, _, mend = str(error).rpartition(": ")
        return Finding("machine", "device", "fault", fault, mend)
    if name == "cpu":
        slow = "" if params.chosen.wav2vec.checkpoint is None else ": slow for a Wav2Vec 2.0 of full size"
        return Finding("machine", "device", "ok", f"cpu{slow}")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("machine", "device", "ok", f"{name}: {', '.join(gpus)}, CUDA {torch.version.cuda}")
