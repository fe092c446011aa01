"""`edge-inspect predict`: judges picture files, without camera or broker."""

from pathlib import Path

from edge.config import load_config
from edge.core.clock import Clock
from edge.core.errors import EXIT_DONE, EXIT_NO, ConfigError, PictureError, RefusedError
from edge.core.frame import Frame
from edge.core.image import open_picture
from edge.core.messages import sent_body, stored_body
from edge.core.output import write_error, write_output
from edge.core.text import escape
from edge.pipeline import build_inspector, build_judge, choose_camera, image_profiles


def predict(pictures: list[Path], config_path: Path, camera: str | None = None) -> int:
    """Prints one line of JSON per verdict, in the order of `pictures`. `seq` is 0: none is stored.

    The view of `camera` cuts the pictures. It may be None when there is only one camera, or all
    have the same view. A picture that cannot be judged gives an `error` verdict, a sentence on
    stderr and exit code 1.
    """
    config = load_config(config_path)
    clock = Clock()
    inspector = build_inspector(config, config_path)
    profiles = image_profiles(config.cameras, inspector)
    try:
        name = choose_camera(profiles, camera)
    except RefusedError as error:
        raise ConfigError([f"{config_path}: --camera: {error}"]) from error
    judge = build_judge(config, inspector, clock, None, profiles=profiles)
    code = EXIT_DONE
    for number, path in enumerate(pictures, start=1):
        picture, fault = None, None
        now, tick = clock.now(), clock.tick()
        item = escape(str(path))
        try:
            picture = open_picture(path)
        except PictureError as error:
            fault = str(error)
        frame = Frame(name, number, None, now, tick, item=item, fault=fault, encoded=picture)
        verdicts = judge.judge(frame)
        for reason in dict.fromkeys(v.reason for v in verdicts if v.verdict == "error"):
            write_error(f"edge-inspect: {reason}")
            code = EXIT_NO
        for verdict in verdicts:
            body = sent_body(stored_body(verdict, seq=0), replayed=False)
            write_output(body.decode() + "\n")
    return code
