"""Pictures kept 0…100,000, all of one day, the archive at its budget: each in a process of its
own."""

from pathlib import Path

from benchmarks.growth.archiveprobe import A_MB, fill
from benchmarks.growth.probe import QUICK_REPEATS, REPEATS, ask, rounds
from benchmarks.growth.rules import Cost

# whole megabytes of them, since the budget is one
PICTURES, QUICK = (0, 4 * A_MB, 40 * A_MB, 400 * A_MB), (0, 4 * A_MB, 40 * A_MB)


def measure(folder: Path, *, quick: bool, sizes: tuple[int, ...] = ()) -> list[Cost]:
    """The costs, over the number of pictures kept."""

    def once(pictures: int) -> dict[str, float]:
        kept = folder / f"{pictures}" / "kept"
        fill(kept, pictures)
        return ask("benchmarks.growth.archiveprobe", kept, pictures)

    times = QUICK_REPEATS if quick else REPEATS
    found = rounds(times, sizes or (QUICK if quick else PICTURES), once, warm=True)
    return [
        Cost("start, all counted, CPU ms", "whole", found["start"], scale=1000, form=".1f"),
        Cost("start to first picture, ms", "whole", found["first_s"], scale=1000, form=".1f"),
        Cost("the same, CPU ms", "each", found["first"], 1, scale=1000, form=".1f"),
        Cost("keep one, CPU us", "each", found["keep"], 1, scale=1e6, form=".0f"),
        Cost("find by id, CPU us", "each", found["find"], 1, scale=1e6, form=".0f"),
        Cost("find what is not there, CPU us", "each", found["miss"], scale=1e6, form=".0f"),
        Cost("memory, MB", "each", found["memory"], scale=2**-20, form=".1f"),
    ]
