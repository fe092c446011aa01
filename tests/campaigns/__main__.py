"""Runs a short form of each campaign, one after the other.

    python -m tests.campaigns [--only soak,reload_edits] [--list]

A campaign passes when its exit code is 0. Campaigns that take hours or need a data set only run
with `--help` (a dry run), which checks their imports. Prints one line each. Exit code 1 when one
fails.
"""

import argparse
import importlib
import subprocess
import sys
import time
from dataclasses import dataclass

LIMIT_S = 900.0
LAST_LINES = 25


@dataclass(frozen=True, slots=True)
class Campaign:
    """A module and the arguments of its short form. A dry run only prints the help."""

    module: str
    arguments: str = "--help"

    @property
    def name(self) -> str:
        """The last part of the module's name."""
        return self.module.rpartition(".")[2]

    @property
    def dry(self) -> bool:
        """Whether only its help is printed."""
        return self.arguments == "--help"


CAMPAIGNS = (
    Campaign("tests.loss", "--rounds 20 --level strict --seed 1"),
    Campaign("tests.campaigns.camera_faults", "--count 200"),
    Campaign("tests.campaigns.camera_restarts", "--count 50"),
    Campaign("tests.campaigns.hung_camera", "--hangs 3"),
    Campaign("tests.campaigns.mjpeg_streams", "--count 40 --daemon-s 15"),
    Campaign("tests.campaigns.triggered_parts", "--count 200"),
    Campaign("tests.campaigns.recipe_changes", "--changes 200 --any-speed"),
    Campaign("tests.campaigns.folder_kills", "--files 300 --kills 3"),
    Campaign("tests.campaigns.evidence_kills", "--kills 30"),
    Campaign("tests.campaigns.model_kills", "--kills 20"),
    Campaign("tests.campaigns.model_bad_files", ""),
    Campaign("tests.campaigns.model_probation", "--rounds 1"),
    Campaign("tests.campaigns.probation_returns", "--probations 2000 --worse 100"),
    Campaign("tests.campaigns.evidence_sample", "--days 200 --passes 2000"),
    Campaign("tests.campaigns.rejudged", "--count 300 --explained 20"),
    Campaign("tests.campaigns.reload_edits", "--count 20"),
    Campaign("tests.campaigns.config_edits", "--count 500"),
    Campaign("tests.campaigns.reload_faults", "--count 12"),
    Campaign("tests.campaigns.hostile_requests", "--count 3000 --quiet-s 5"),
    Campaign("tests.campaigns.fuzz", "--minutes 1 --packets 500 --every-s 8 --growth-mb 30"),
    Campaign("tests.campaigns.million_verdicts", "--count 5000 --plain 2000"),
    Campaign("tests.campaigns.day_of_outage", "--count 2000 --full-only --limit-ms 1000"),
    Campaign("tests.campaigns.damaged_pictures", "--count 1000 --paths 60"),
    Campaign("tests.campaigns.escape_coverage", "--months 100"),
    Campaign("tests.campaigns.foreign_models", "--side 32 --only sigmoid"),
    # these take hours or need a data set
    Campaign("tests.campaigns.soak"),
    Campaign("tests.campaigns.bad_conversions"),
    Campaign("tests.campaigns.interval_coverage"),
    Campaign("tests.campaigns.killed_training"),
    Campaign("tests.campaigns.not_learned"),
    # benchmarks: their figures are not checked
    Campaign("benchmarks.against_flask"),
    Campaign("benchmarks.audit_scale"),
    Campaign("benchmarks.conversion_scale"),
    Campaign("benchmarks.growth"),
    Campaign("benchmarks.handover"),
    Campaign("benchmarks.idle"),
    Campaign("benchmarks.many_pictures"),
    Campaign("benchmarks.memory_and_start"),
    Campaign("benchmarks.outbox_levels"),
)
# Programs without --help, which need root or other machines. They must be importable.
IMPORTED = (
    "tests.box.__main__",
    "tests.box.emulated",
    "tests.cameras.table",
    "tests.machine.installedcut",
    "tests.machine.powercut",
    "tests.node.table",
)


def main() -> int:
    """Runs the chosen campaigns. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--only", default="", help="comma-separated names")
    parser.add_argument("--list", action="store_true", help="print the names and arguments")
    arguments = parser.parse_args()
    if arguments.list:
        for campaign in CAMPAIGNS:
            print(f"{campaign.name:20} {campaign.arguments}")
        return 0
    chosen = [name for name in arguments.only.split(",") if name]
    if unknown := set(chosen) - {campaign.name for campaign in CAMPAIGNS}:
        parser.error(f"no such campaign: {', '.join(sorted(unknown))}; see --list")
    failed = [c.name for c in CAMPAIGNS if (not chosen or c.name in chosen) and not passes(c)]
    if not chosen:
        for module in IMPORTED:
            importlib.import_module(module)
            print(f"ok    {module} can be imported")
    print(f"campaigns: {len(failed)} failed {' '.join(failed)}".rstrip())
    return 1 if failed else 0


def passes(campaign: Campaign) -> bool:
    """Whether it ends with 0 in time. Otherwise prints its last lines."""
    started = time.monotonic()
    command = [sys.executable, "-m", campaign.module, *campaign.arguments.split()]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        print(f"FAIL  {campaign.name}: takes longer than {LIMIT_S:g} s\n{error.output}", flush=True)
        return False
    passed = done.returncode == 0
    form = "dry run" if campaign.dry else campaign.arguments
    took_s = time.monotonic() - started
    print(f"{'ok   ' if passed else 'FAIL '} {campaign.name} ({form}), {took_s:.0f} s", flush=True)
    if not passed:
        print("\n".join(done.stdout.splitlines()[-LAST_LINES:]), flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
