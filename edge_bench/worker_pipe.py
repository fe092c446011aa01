"""Worker processes of the bench: they take one JSON object and answer with one.

`run_worker` runs a process for one answer. `WorkerPipe` keeps a process for several messages.
"""

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from edge.core.errors import EXIT_DONE, EdgeInspectError, RefusedError

Answer = dict[str, Any]
_TIMEOUT_S = 300.0


def run_worker(module: str, request: dict[str, Any], timeout_s: float = _TIMEOUT_S) -> Answer:
    """Runs `python -m MODULE REQUEST`, and returns its answer. Raises EdgeInspectError with the
    error and the exit code of the process."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, json.dumps(request)],
            check=False,
            capture_output=True,
            text=True,
            start_new_session=True,  # Ctrl-C is for the bench, which ends it
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise RefusedError(f"bench: {module} does not end within {timeout_s:g} s") from None
    if done.returncode and not done.stdout:  # a bug, or the kernel killed it
        raise RuntimeError(f"{module} ended with code {done.returncode}: {done.stderr[-2000:]}")
    response: Answer = json.loads(done.stdout)
    if done.returncode:
        error = EdgeInspectError(response["refused"])
        error.exit_code = done.returncode
        raise error
    return response


class WorkerPipe:
    """A worker process with a pipe in each direction; a message is one line of JSON."""

    def __init__(self, module: str, request: dict[str, Any]) -> None:
        """Starts `python -m MODULE REQUEST`. Its first message says that it is ready."""
        self._module = module
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is for the bench, which ends it
        )

    def close(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def send(self, message: float | None) -> None:
        """Sends the next message; `receive` returns the result."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._fault() from error

    def receive(self, timeout_s: float = _TIMEOUT_S) -> Answer:
        """Returns the next answer. Raises as `run_worker`."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            raise RefusedError(f"bench: {self._module} does not answer within {timeout_s:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._fault()
        response: Answer = json.loads(line)
        if (message := response.get("refused")) is not None:
            error = EdgeInspectError(message)
            error.exit_code = self._process.wait(timeout_s)
            raise error
        return response

    def _fault(self) -> RuntimeError:
        """The error for a process that ended without an answer: a bug, or the kernel killed it."""
        code = self._process.wait(_TIMEOUT_S)
        self._errors.seek(0)
        errors = self._errors.read()[-2000:].decode(errors="replace")
        return RuntimeError(f"{self._module} ended with code {code}: {errors}")


def serve_turns(start_work: Callable[[dict[str, Any]], Callable[[float | None], Answer]]) -> int:
    """The worker's side of a `WorkerPipe`, until its input ends. `start_work` takes the request and
    returns the function that answers each word. Returns the exit code, as `serve_request` does."""
    try:
        reply = start_work(json.loads(sys.argv[1]))
        _print({})
        for line in sys.stdin:
            _print(reply(json.loads(line)))
    except EdgeInspectError as error:
        _print({"refused": str(error)})
        return error.exit_code
    return EXIT_DONE


def _print(what: Answer) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def serve_request(work: Callable[[dict[str, Any]], Answer]) -> int:
    """The worker's side of `run_worker`: reads the request from argv and prints the answer.

    Returns the exit code. An error of the user is the answer too, since libraries also write to
    stderr."""
    code = EXIT_DONE
    try:
        found = work(json.loads(sys.argv[1]))
    except EdgeInspectError as error:
        code, found = error.exit_code, {"refused": str(error)}
    _print(found)
    return code
