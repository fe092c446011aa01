"""CPU, memory and context switches of processes, read from a fixture tree instead of /proc."""

import os
from pathlib import Path

import pytest

from edge_bench.process_tree import ProcessTree, wakeups_between

_TICKS = os.sysconf("SC_CLK_TCK")


def put(proc: Path, pid: int, parent: int, ticks: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Path:
    """Writes a process. `ticks`: user and system time of itself and of its ended children."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    numbers = " ".join(map(str, ticks))
    fields = f"S {parent} 1 1 0 -1 0 0 0 0 0 {numbers} 20 0 1 0 99"
    (folder / "stat").write_text(f"{pid} (a (very) odd name) {fields}\n")
    return folder


def thread(folder: Path, number: int, voluntary: int, other: int) -> None:
    """Writes a thread with its context switches."""
    task = folder / "task" / str(number)
    task.mkdir(parents=True, exist_ok=True)
    (task / "status").write_text(
        f"Name:\tx\nvoluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t{other}\n"
    )


def test_the_tree_has_all_descendants_only(tmp_path: Path) -> None:
    """Children and grandchildren belong to the tree; other processes and files do not."""
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1), (20, 13)):
        put(tmp_path, pid, parent)
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\n")
    assert sorted(ProcessTree(10, tmp_path).pids()) == [10, 11, 12]


def test_cpu_counts_children_that_have_ended(tmp_path: Path) -> None:
    """CPU time includes living processes and ended children."""
    put(tmp_path, 10, 1, (_TICKS, 2 * _TICKS, 3 * _TICKS, 0))
    put(tmp_path, 11, 10, (0, 4 * _TICKS, 0, 0))
    assert ProcessTree(10, tmp_path).cpu_s() == pytest.approx(10.0)


def test_pss_is_the_sum_of_all(tmp_path: Path) -> None:
    """PSS is in MB of 2^20 bytes over the tree; an ended process counts as nothing."""
    put(tmp_path, 10, 1)
    for pid, kb in ((10, 2048), (11, 1024)):
        if pid != 10:
            put(tmp_path, pid, 10)
        (tmp_path / str(pid) / "smaps_rollup").write_text(f"00 ---p\nRss: 9999 kB\nPss: {kb} kB\n")
    put(tmp_path, 12, 10)
    assert ProcessTree(10, tmp_path).pss_mb() == pytest.approx(3.0)


def test_standalone_counts_files_whole_and_once(tmp_path: Path) -> None:
    """A shared file page counts whole, once. Anonymous memory and written pages count as PSS."""
    library = (
        "7f00-7f01 r-xp 00001000 08:01 77 /usr/lib/libx.so\n"
        "Rss: {rss} kB\nPss: 10 kB\nAnonymous: {own} kB\n"
    )
    heap = "5500-5600 rw-p 00000000 00:00 0 [heap]\nRss: 3000 kB\nPss: 1024 kB\nAnonymous: 0 kB\n"
    shared = "7f10-7f20 rw-s 00000000 00:01 9 /memfd:ring (deleted)\nRss: 2048 kB\nPss: 512 kB\n"
    for pid, parent, rss, own in ((10, 1, 4096, 1024), (11, 10, 2048, 0)):
        folder = put(tmp_path, pid, parent)
        (folder / "smaps_rollup").write_text("Pss: 1024 kB\n")
        (folder / "smaps").write_text(library.format(rss=rss, own=own) + heap + shared)
    use = ProcessTree(10, tmp_path).memory()
    # 3072 kB of unwritten library pages, 1024 written, heap and ring twice
    assert use.standalone == pytest.approx((3072 + 1024 + 2 * (1024 + 512)) / 1024)
    assert use.pss == pytest.approx(2.0)


def test_wake_ups_are_counted_per_thread(tmp_path: Path) -> None:
    """The switches since the last sample count, also of new threads; ended threads do not."""
    folder = put(tmp_path, 10, 1)
    thread(folder, 10, 5, 1)
    thread(folder, 11, 7, 0)
    tree = ProcessTree(10, tmp_path)
    before = tree.switches()
    thread(folder, 10, 8, 2)
    thread(folder, 12, 3, 0)
    (folder / "task" / "11" / "status").unlink()
    assert before == {(10, 10): 6, (10, 11): 7}
    assert wakeups_between(before, tree.switches()) == 4 + 3


def test_a_real_process_has_figures() -> None:
    """The real /proc gives CPU, memory and switches of this process."""
    tree = ProcessTree(os.getpid())
    assert os.getpid() in tree.pids()
    assert tree.cpu_s() > 0
    assert tree.memory().standalone >= tree.pss_mb() * 0.5 > 0
    assert sum(tree.switches().values()) > 0
