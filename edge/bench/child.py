"""Processes of the bench's own: asked with one JSON object, they answer with one."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from edge.errors import EXIT_DONE, EdgeInspectError, RefusedError

Answer = dict[str, Any]
_PATIENCE_S = 300.0


def ask(module: str, request: dict[str, Any], patience_s: float = _PATIENCE_S) -> Answer:
    """What `python -m MODULE` answers. Raises EdgeInspectError with the sentence that it says,
    and with its exit code."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, json.dumps(request)],
            check=False,
            capture_output=True,
            text=True,
            start_new_session=True,  # Ctrl-C is for the bench, which ends it
            stdin=subprocess.DEVNULL,
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired:
        raise RefusedError(f"bench: {module} does not end within {patience_s:g} s") from None
    if done.returncode and not done.stdout:  # a fault of ours, or the kernel ended it
        raise RuntimeError(f"{module} ended with code {done.returncode}: {done.stderr[-2000:]}")
    answer: Answer = json.loads(done.stdout)
    if done.returncode:
        error = EdgeInspectError(answer["refused"])
        error.exit_code = done.returncode
        raise error
    return answer


def answer(work: Callable[[dict[str, Any]], Answer]) -> int:
    """The other side: reads the request from the command line, prints the answer. Returns the exit
    code; what a user can mend is the answer then: on stderr libraries speak, too."""
    code = EXIT_DONE
    try:
        found = work(json.loads(sys.argv[1]))
    except EdgeInspectError as error:
        code, found = error.exit_code, {"refused": str(error)}
    sys.stdout.write(json.dumps(found) + "\n")
    return code
