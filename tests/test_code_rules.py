"""Rules of CONTRIBUTING that no linter checks: short functions, constructors that finish objects,
and few places that catch every exception."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("edge", "edge_bench", "trainer", "converter")
LONGEST_FUNCTION = 60  # lines

# Callbacks that a library documents as attributes: paho, gpiozero, the TFLite converter.
LIBRARY_CALLBACKS = {
    "on_connect",
    "on_disconnect",
    "on_message",
    "on_publish",
    "on_socket_open",
    "on_socket_register_write",
    "on_subscribe",
    "representative_dataset",
    "when_activated",
    "when_deactivated",
}

# The outermost function of a thread, a process, a request or a library's callback: nothing further
# out could log the fault and go on.
OUTERMOST = {
    "edge/__main__.py _run": "the process: reports an internal fault, exit code of its own",
    "edge/capture/isolation/child.py _serve": "a camera process: sends the fault to the daemon",
    "edge/capture/isolation/forkserver.py serve": "the process: writes the traceback and exits",
    "edge/capture/isolation/forkserver.py _become_child": "a camera process: logs it, exits",
    "edge/capture/reader.py run": "a thread: a driver may raise anything; it opens again",
    "edge/core/threads.py run": "all threads: records the fault that ended one",
    "edge/monitoring/supervisor.py run": "a thread: it feeds the watchdog and must go on",
    "edge/mqtt/connection.py logged": "a callback of paho: an exception would end paho's loop",
    "edge/mqtt/embedded_broker.py _serve": "a thread: `start` raises the fault for it",
    "edge/mqtt/io_loop.py run": "a thread: `open` raises the fault, or the connection ends with it",
    "edge/mqtt/publisher.py run": "a thread: connects again",
    "edge/mqtt/request_router.py handle": "a request: the client gets an answer",
    "edge/pipeline/edge_pin.py _edge": "a callback of gpiozero: its thread must go on",
    "edge/pipeline/worker.py _guarded": "a thread: one frame's fault must not end all judging",
    "edge/plant/model_requests.py _answer": "a thread: the next request must be answered",
    "edge/plant/record_requests.py run": "a thread: the next request must be answered",
    "edge/plant/reload_requests.py run": "a thread: the next reload must come",
    "edge/web/serving.py __call__": "a request: the client gets an answer",
}
# Inside a loop, because the fault must become an answer that only this place can give.
BECOMES_AN_ANSWER = {
    "edge/capture/isolation/forkserver.py _start_child": "a driver's import may raise anything; "
    "the other cameras live in children of this process",
    "edge/core/gpio.py close": "as `show`; the pin's other step must follow",
    "edge/core/gpio.py show": "a GPIO library has exceptions of its own; `health` names the pin",
    "edge/mqtt/snapshots.py run_once": "one picture's fault: its request gets an answer",
    "edge/pipeline/frame_inspector.py inspect": "the part gets an `error` verdict with the reason; "
    "further out, its frames are not known",
    "edge/pipeline/judge.py conclude": "the part gets an `error` verdict with the reason",
    "edge/pipeline/recipe_pins.py _on_strobe": "as `show`; its parts get `error`",
    "edge/plant/plant.py _attempt": "an accessory (wires, alarm, archive, pictures) must not cost "
    "the verdict",
    "edge/plant/reload_requests.py run_once": "the reload is refused with a sentence",
    "edge/reload.py _end": "the new configuration runs: the answer must not be a refusal",
    "edge/reload.py apply": "the new configuration runs: the answer must not be a refusal",
    "edge/storage/outbox/writer.py _commit": "the verdicts of the batch stay in memory for a retry",
}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions, also those in classes and in other functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(source: str) -> list[str]:
    """The functions with more than LONGEST_FUNCTION lines."""
    return [
        node.name
        for node in functions(ast.parse(source))
        if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]


def late_callbacks(source: str) -> list[str]:
    """Callbacks set on another object: attributes `on_…`, and attributes that get a lambda."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if not isinstance(target, ast.Attribute) or ast.unparse(target.value) == "self":
                continue
            name = target.attr
            if name.startswith("on_") or isinstance(node.value, ast.Lambda):
                found.append(name)
    return found


def broad_handlers(source: str) -> set[str]:
    """Functions that catch every exception and do not raise it again."""
    found: set[str] = set()
    for function in functions(ast.parse(source)):
        for node in _own_nodes(function):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node):
                found.add(function.name)
    return found


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, without the functions in it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own_nodes(child)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False  # cleans up only
    kind = handler.type
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(k is None or ast.unparse(k) in {"Exception", "BaseException"} for k in kinds)


def _sources(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def test_functions_are_short() -> None:
    """No function has more than LONGEST_FUNCTION lines."""
    found = [f"{path} {name}" for path, text in _sources(*FOLDERS) for name in long_functions(text)]
    assert found == []


def test_constructors_finish_objects() -> None:
    """No callback is set on an object after its construction, except where a library wants it."""
    found = [
        f"{path} {name}"
        for path, text in _sources(*FOLDERS)
        for name in late_callbacks(text)
        if name not in LIBRARY_CALLBACKS
    ]
    assert found == []


def test_few_places_catch_every_exception() -> None:
    """They are the outermost functions, and the places where the fault becomes an answer."""
    found = {f"{path} {name}" for path, text in _sources("edge") for name in broad_handlers(text)}
    assert found == OUTERMOST.keys() | BECOMES_AN_ANSWER.keys()


def test_no_interface_hides_a_module() -> None:
    """A package re-exports no name of its own modules: importing the module would replace it."""
    found = []
    for path, text in _sources(*FOLDERS):
        if path.endswith("/__init__.py"):
            modules = {module.stem for module in (ROOT / path).parent.iterdir()}
            imports = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]
            names = {alias.asname or alias.name for one in imports for alias in one.names}
            found += [f"{path} {name}" for name in sorted(names & modules)]
    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("reader.on_frame = sink.put", 1),
        ("reader.stop = lambda: None", 1),
        ("self.on_frame = sink.put", 0),
        ("supervisor.interval_s = 3", 0),
    ],
)
def test_the_search_finds_late_callbacks(source: str, count: int) -> None:
    """A callback of another object counts; the own one and a value do not."""
    assert len(late_callbacks(source)) == count


@pytest.mark.parametrize(
    ("handler", "broad"),
    [
        ("except Exception:\n  pass", True),
        ("except (OSError, Exception) as error:\n  log(error)", True),
        ("except:\n  pass", True),
        ("except BaseException:\n  close()\n  raise", False),
        ("except Exception as error:\n  raise Fault from error", True),
        ("except OSError:\n  pass", False),
    ],
)
def test_the_search_finds_broad_handlers(handler: str, *, broad: bool) -> None:
    """Every form counts, except one that cleans up and raises the same exception again."""
    lines = "\n".join(f" {line}" for line in f"try:\n  work()\n{handler}".splitlines())
    assert broad_handlers(f"def run():\n{lines}\n") == ({"run"} if broad else set())


def test_the_search_finds_long_functions() -> None:
    """A function of LONGEST_FUNCTION lines is not long; one line more is."""
    body = " pass\n" * (LONGEST_FUNCTION - 1)
    assert long_functions(f"def run():\n{body}") == []
    assert long_functions(f"def run():\n{body} pass\n") == ["run"]
