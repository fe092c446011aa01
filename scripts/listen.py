"""Subscribes to all verdicts and prints one line per verdict. Ends with Ctrl-C."""

import argparse
import json
import signal
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def main() -> int:
    """Subscribes to every station of the broker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1884, help="default: 1884, as in config.yaml")
    arguments = parser.parse_args()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_connect = lambda c, *_: c.subscribe("inspection/+/result", 1)
    client.on_message = lambda _c, _d, message: _show(message)
    while True:
        try:
            client.connect(arguments.host, arguments.port)
            break
        except OSError:
            where = f"{arguments.host}:{arguments.port}"
            print(f"no broker at {where} yet; start `edge-inspect run`", flush=True)
            time.sleep(2)
    print("listening to inspection/+/result; Ctrl-C ends", flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        client.loop_forever()
    except KeyboardInterrupt:
        client.disconnect()
    return 0


def _show(message: mqtt.MQTTMessage) -> None:
    body = json.loads(message.payload)
    score = "  —  " if body["score"] is None else f"{body['score']:.3f}"
    part, reason = body["part"] or "", body["reason"] or ""
    print(
        f"{body['captured_at'][11:23]}  {body['seq']:>6}  {body['camera']:<8} "
        f"{body['verdict']:<7} {score}  {part}  {reason}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
