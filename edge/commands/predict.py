"""`edge-inspect predict`: one JSON verdict a line for picture files; no camera, no broker."""

import sys
from pathlib import Path

from edge.configfile import load_config
from edge.delivery.message import result_body, sent_body, to_json
from edge.environment import Environment
from edge.errors import EXIT_DONE, EXIT_NO, PictureError
from edge.frame import Frame
from edge.modelside import inspector_from, judge_from
from edge.picture import read_picture

CAMERA = "predict"


def predict(pictures: list[Path], config_path: Path) -> int:
    """Prints a verdict for each picture, in the order given; `seq` is 0, since nothing is stored.

    A picture that cannot be judged gives an `error` verdict, a sentence on stderr and exit code 1.
    """
    config = load_config(config_path)
    environment = Environment()
    judge = judge_from(config, inspector_from(config), environment, deadline_ms=None)
    code = EXIT_DONE
    for number, path in enumerate(pictures, start=1):
        pixels, fault = None, None
        now, tick = environment.now(), environment.tick()
        try:
            pixels = read_picture(path)
        except PictureError as error:
            fault = str(error)
        frame = Frame(CAMERA, number, pixels, now, tick, item=str(path), fault=fault)
        verdict = judge(frame)
        if verdict.verdict == "error":
            sys.stderr.write(f"edge-inspect: {verdict.reason}\n")
            code = EXIT_NO
        body = sent_body(to_json(result_body(verdict, seq=0)), replayed=False)
        sys.stdout.write(body.decode() + "\n")
        sys.stdout.flush()
    return code
