"""Programs that start warm: python, dvc and ser-ops in one folder, their heavy libraries loaded already.

Most of what a short stage costs is imports: seven of the nine seconds of a training of two epochs. A process of the
session has the libraries and forks for each program; none of this project's own code is loaded before. The launcher in
the folder hands over its arguments, variables, streams and process group, passes signals on, and ends as its program
does; when it is killed, so is the program (at once, and stopped too, by `send_signal`). Limits to resources are not
handed over, and a light command gains nothing: for those there is tests/warm_commands.py. That a fresh interpreter
lacks nothing is seen by the undisturbed run of tests/end_to_end.
"""

import atexit
import fcntl
import gc
import importlib
import multiprocessing.spawn
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PROGRAMS = ("python", "dvc", "ser-ops")
_LIBRARIES = ("torch._dynamo", "scipy.signal", "scipy.optimize", "soundfile", "safetensors.torch", "typer", "mlflow",
              "mlflow.store.tracking.sqlalchemy_store", "mlflow.artifacts", "matplotlib.backends.backend_agg", "optuna",
              "sklearn.metrics", "great_expectations", "dvc.repo", "dvc.commands.repro", "dvc_s3")
_NAME = "of {}"     # of a program's parent, by the process number of the launcher: what ps shows
_LAUNCHER = """#!{python} -IS
import os, signal, socket, sys
while sys.argv[1:] and (sys.argv[1] in ("-u", "-B") or sys.argv[1].startswith("-W")):   # torchrun, multiprocessing
    if sys.argv.pop(1) == "-u":
        os.environ["PYTHONUNBUFFERED"] = "1"
first = (sys.argv[1:] or ["-"])[0]
if not {program!r} and first.startswith("-") and first not in ("-m", "-c"):     # options of Python itself
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
passed = [0, 1, 2]      # and what whoever started this process wants it to have, as multiprocessing does
for number in sorted(map(int, os.listdir("/proc/self/fd"))):
    try:
        if number > 2 and os.get_inheritable(number):
            passed.append(number)
    except OSError:     # the listing's own
        pass
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: server.send(bytes([number])))
words = [{program!r}, *sys.argv[1:]]
variables = [f"{{name}}={{value}}" for name, value in os.environ.items()]
numbers = [os.getpgrp(), os.getpid(), ",".join(map(str, passed)), len(words)]
parts = [os.getcwd(), *map(str, numbers), *words, *variables]
request = b"\\0".join(map(os.fsencode, parts))
socket.send_fds(server, [len(request).to_bytes(4, "big")], passed)
server.sendall(request)
answer = server.recv(4)
code = int.from_bytes(answer, "big", signed=True) if answer else 70     # whoever was to answer has died
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def warm_programs() -> Path:
    """The folder of the launchers, one for this process and those that it starts."""
    own = Path(sys.executable).parent
    if not hasattr(os, "pidfd_open"):
        return own      # not Linux: as they are
    if "WARM_PROGRAMS" in os.environ:
        return Path(os.environ["WARM_PROGRAMS"])
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    atexit.register(lambda: [path.unlink() for path in folder.iterdir()] and folder.rmdir())
    for name in _PROGRAMS:
        program = "" if name == "python" else str(own / name)
        (folder / name).write_text(_LAUNCHER.format(python=sys.executable, address=str(folder / "server"),
                                                    program=program))
        (folder / name).chmod(0o755)
    # Of this session, so that its children may join the groups of those who start them; it ends with this process.
    server = subprocess.Popen([sys.executable, __file__, str(folder / "server")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, process_group=0, env=os.environ | {
                                  "OMP_NUM_THREADS": "1", "GX_ANALYTICS_ENABLED": "false",
                                  "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"})
    assert server.stdout and server.stdout.readline() == b"ready\n"
    os.environ["WARM_PROGRAMS"] = str(folder)
    return folder


def programs_of(launcher: int) -> list[int]:
    """The numbers of the warm programs, one or none, of the process with this number."""
    import psutil

    for file in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError, psutil.Error):     # it has just ended
            if file.read_text().strip() == _NAME.format(launcher):
                return [child.pid for child in psutil.Process(int(file.parent.name)).children()]
    return []


def send_signal(started: "subprocess.Popen[str]", number: int) -> None:
    """Send SIGKILL, SIGSTOP or SIGCONT, which a launcher cannot pass on, to its program and to itself."""
    for program in programs_of(started.pid):
        os.kill(program, number)
    started.send_signal(number)


def _serve(address: str) -> None:
    """Start a program for each launcher that connects, until standard input ends; load the libraries for the first."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"ready\n")
    while listener in select.select([listener, 0], [], [])[0]:
        launcher = listener.accept()[0]
        if not gc.get_freeze_count():
            for name in _LIBRARIES:
                importlib.import_module(name)
            gc.freeze()     # a collection in a child would copy all of it
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _attend(launcher, address)
        launcher.close()


def _attend(launcher: socket.socket, address: str) -> None:
    """Fork into the program of a launcher, and into who passes its signals on and its exit code back."""
    size, files, *_ = socket.recv_fds(launcher, 4, 100)
    request = b""
    while len(request) < int.from_bytes(size, "big"):
        request += launcher.recv(1 << 20)
    program = os.fork()
    if program == 0:
        launcher.close()
        return _become(request, files, address)
    for file in files:
        os.close(file)
    Path("/proc/self/comm").write_text(_NAME.format(request.split(b"\0", 3)[2].decode()))
    over = os.pidfd_open(program)
    while over not in select.select([launcher, over], [], [])[0]:
        told = launcher.recv(1)
        os.kill(program, told[0] if told else signal.SIGKILL)
        if not told:
            break
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    try:
        launcher.sendall(code.to_bytes(4, "big", signed=True))
    finally:
        os._exit(0)


def _become(request: bytes, files: list[int], address: str) -> None:
    """Be the program: a script, a module after -m or code after -c, as Python itself takes them."""
    folder, group, _, numbers, count, *rest = map(os.fsdecode, request.split(b"\0"))
    words, variables = rest[:int(count)], rest[int(count):]
    try:
        os.setpgid(0, int(group))
    except OSError:     # of another session
        os.setpgid(0, 0)
    files = [fcntl.fcntl(file, fcntl.F_DUPFD, 500) for file in files]      # out of the way of one another
    for number, file in zip(map(int, numbers.split(",")), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variable.split("=", 1) for variable in variables)
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)     # type: ignore[union-attr]
    script, *arguments = words if words[0] else words[1:]
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = ["" if script in ("-m", "-c") else str(Path(script).parent), *filter(None, own), *sys.path[1:]]
    sys.modules.pop("sitecustomize", None)
    with suppress(ImportError):
        import sitecustomize  # noqa: F401  (tests/moments)
    sys.executable = str(Path(address).with_name("python"))     # what the program starts by it is warm, too
    multiprocessing.spawn.set_executable(sys.executable)
    sys.argv = arguments if script == "-m" else [script, *arguments[script == "-c":]]
    _end_with(lambda: exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"}) if script == "-c" else
              runpy.run_module(arguments[0], run_name="__main__", alter_sys=True) if script == "-m" else
              runpy.run_path(script, run_name="__main__"))


def _end_with(program: Callable[[], object]) -> None:
    """Run it and end as the interpreter would, but for taking every loaded module apart, which takes half a second."""
    code: object = None
    try:
        program()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()           # waits for threads, as multiprocessing's forks do
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):      # the program has closed it
            stream.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _serve(sys.argv[1])
