"""A process that has imported all that is heavy, and forks a child for each command: a kill then costs a tenth of a second, not five.

Requests and answers are lines of JSON on standard input and output. The shim (`shim.c`) is preloaded and counts the child's steps.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

HEAVY = (
    "numpy", "torch", "faiss", "pandas", "safetensors.torch", "sentence_transformers", "peft", "trl", "datasets", "aiohttp", "sqlite3",
    "matplotlib.pyplot", "transformers.models.bert.modeling_bert", "transformers.models.llama.modeling_llama",
)  # fmt: skip


def preload() -> None:
    import expandr_repro

    for name in HEAVY:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(expandr_repro.__path__, "expandr_repro."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def child(request: dict[str, Any]) -> None:
    """Be the command, in a process group of its own; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(request["limit"])
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        for number, path in ((1, request["out"]), (2, request["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        for name, value in request["settings"].items():
            module, _, attribute = name.rpartition(".")
            setattr(importlib.import_module(module), attribute, value)
        module = importlib.import_module(f"expandr_repro.{request['command']}.__main__")
        if request["megabytes"]:
            limit = (int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")) + (
                request["megabytes"] << 20
            )
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = module.main(request["arguments"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:  # noqa: BLE001 - the harness tells it from an error that the command knows
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.faults_steps.restype = ctypes.c_long
    shim.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    preload()
    answers.write(json.dumps({"threads": len(list(Path("/proc/self/task").iterdir()))}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        shim.faults_arm(request["root"].encode(), request["at"], request["mode"])
        pid = os.fork()
        if pid == 0:
            child(request)
        status = os.waitpid(pid, 0)[1]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the command had started
        died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        answers.write(json.dumps({"signal": died, "code": os.WEXITSTATUS(status), "steps": shim.faults_steps()}) + "\n")


if __name__ == "__main__":
    main()
