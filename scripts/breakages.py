"""What is broken on purpose by scripts.breakage, and the tests that should notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breakage:
    """What is broken, where, how, and the tests that should notice."""

    name: str
    file: str
    good: str
    bad: str
    tests: str


BREAKAGES = [
    Breakage(
        "a score at reject_at no longer fails",
        "edge/inspection/decision.py",
        "if score >= at.reject_at:",
        "if score > at.reject_at:",
        "tests/edge/inspection",
    ),
    Breakage(
        "a score at review_from passes",
        "edge/inspection/decision.py",
        "if score >= at.review_from:",
        "if score > at.review_from:",
        "tests/edge/inspection",
    ),
    Breakage(
        "score is P(ok)",
        "edge/inspection/decision.py",
        "score = 1.0 - by_label[ok_label]",
        "score = by_label[ok_label]",
        "tests/edge/inspection",
    ),
    Breakage(
        "a score that is no number passes",
        "edge/inspection/decision.py",
        "if not math.isnan(score):",
        "if True:",
        "tests/edge/inspection",
    ),
    Breakage(
        "a JPEG is decoded smaller than the model's input",
        "edge/inspection/reduction.py",
        "return bool(high >= recipe.height and wide >= recipe.width)",
        "return True",
        "tests/edge/inspection/test_reduction.py",
    ),
    Breakage(
        "a reduced picture is cut at another place",
        "edge/inspection/reduction.py",
        "if any(edge % divisor for edge in _edges(region)):",
        "if False:",
        "tests/edge/inspection/test_reduction.py",
    ),
    Breakage(
        "verdicts that flip at reduced scale change nothing",
        "edge/operation/parity.py",
        "if self.holds and self.flips > max(1.0, LIMIT * self.compared):",
        "if False:",
        "tests/edge/operation/test_parity.py",
    ),
    Breakage(
        "an errand is done while somebody judges",
        "edge/operation/errand.py",
        "if self._here < self._threads:",
        "if False:",
        "tests/edge/operation/test_workers.py",
    ),
    Breakage(
        "a fault becomes pass",
        "edge/operation/judge.py",
        'verdict=judgement.outcome if judgement else "error"',
        'verdict=judgement.outcome if judgement else "pass"',
        "tests/edge/operation",
    ),
    Breakage(
        "the deadline is ignored",
        "edge/operation/judge.py",
        "if age_ms <= self._deadline_ms:",
        "if True:",
        "tests/edge/operation",
    ),
    Breakage(
        "a frame from before the trigger is taken",
        "edge/capture/tracker.py",
        "elif frame.captured_tick >= part.due:",
        "elif True:",
        "tests/edge/capture/test_tracker.py",
    ),
    Breakage(
        "a frame serves two parts",
        "edge/capture/tracker.py",
        "return [*shots, Shot(part, _owned(frame))]",
        "shots.append(Shot(part, _owned(frame)))",
        "tests/edge/capture/test_tracker.py",
    ),
    Breakage(
        "a part's deadline is ignored",
        "edge/capture/tracker.py",
        "if tick >= each.part.until:",
        "if False:",
        "tests/edge/capture/test_tracker.py",
    ),
    Breakage(
        "a late judgement of a part counts",
        "edge/operation/judge.py",
        "if tick <= part.until:",
        "if True:",
        "tests/edge/operation",
    ),
    Breakage(
        "open parts are forgotten at the stop",
        "edge/operation/assembly.py",
        "for part in tracker.shut():",
        "for part in tracker.shut()[:0]:",
        "tests/edge/operation",
    ),
    Breakage(
        "hysteresis raises the thresholds",
        "edge/inspection/decision.py",
        "at.review_from - by)",
        "at.review_from + by)",
        "tests/edge/inspection",
    ),
    Breakage(
        "colours stay BGR",
        "edge/inspection/preprocess.py",
        "cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)",
        "resized",
        "tests/edge/inspection",
    ),
    Breakage(
        "resize without averaging",
        "edge/inspection/preprocess.py",
        "cv2.INTER_AREA if shrinks",
        "cv2.INTER_NEAREST if shrinks",
        "tests/edge/inspection",
    ),
    Breakage(
        "resize by interpolation",
        "edge/inspection/preprocess.py",
        "cv2.INTER_AREA if shrinks",
        "cv2.INTER_LINEAR if shrinks",
        "tests/edge/inspection",
    ),
    Breakage(
        "golden pictures are not compared",
        "edge/inspection/inspector.py",
        "if abs(score - picture.score) > GOLDEN_TOLERANCE:",
        "if False:",
        "tests/edge/inspection",
    ),
    Breakage(
        "a refused row counts as acknowledged",
        "edge/delivery/lanes.py",
        "        if cause is None:\n",
        "        if seq:\n",
        "tests/edge/delivery",
    ),
    Breakage(
        "a row is forgotten when it is sent",
        "edge/delivery/publisher.py",
        "            self._flight.add(mid, now, row.seq)",
        "            self._lanes.accept(row.seq)",
        "tests/edge/delivery",
    ),
    Breakage(
        "what was in flight is not sent again",
        "edge/delivery/lanes.py",
        "        self._in_flight.clear()\n        self._backlog = 0\n",
        "        self._in_flight.clear()\n",
        "tests/edge/delivery",
    ),
    Breakage(
        "what the camera's view has cut is cut again",
        "edge/inspection/inspector.py",
        "return shaped(pixels, self.input, reduced=reduced)",
        "return preprocess(pixels, self.input)",
        "tests/edge/inspection/test_model_view.py",
    ),
    Breakage(
        "golden pictures are not cut",
        "edge/inspection/inspector.py",
        "pinned = preprocess(pixels, self.input, pinned=True)",
        "pinned = shaped(pixels, self.input, pinned=True)",
        "tests/edge/inspection/test_model_view.py",
    ),
    Breakage(
        "an open part is noted too late for a kill",
        "edge/capture/tracker.py",
        "        self.on_open(part)\n",
        "",
        "tests/edge/capture/test_tracker.py",
    ),
    Breakage(
        "a repeated picture is taken for a part",
        "edge/capture/reader.py",
        "                    self._mailbox.passed_by(self.id, doubt.why)\n"
        "                    return\n",
        "                    pass\n",
        "tests/edge/capture/test_repeats.py",
    ),
    Breakage(
        "seq skips a number",
        "edge/delivery/store.py",
        "        return behind + 1\n",
        "        return behind + 2\n",
        "tests/edge/delivery",
    ),
    Breakage(
        "seq is used again after its row has gone",
        "edge/delivery/outbox.py",
        'db.execute("SELECT last, rows FROM state").fetchone()',
        'db.execute("SELECT coalesce(max(seq), 0), count(*) FROM outbox").fetchone()',
        "tests/edge/delivery",
    ),
    Breakage(
        "receipts are not stored",
        "edge/delivery/outbox.py",
        '"INSERT OR IGNORE INTO judged VALUES (?, ?)", receipts',
        '"INSERT OR IGNORE INTO judged VALUES (?, ?)", []',
        "tests/edge/delivery",
    ),
    Breakage(
        "what the disk refused is dropped",
        "edge/delivery/writer.py",
        "                    self._show([one.row for one in self._held.first(_HELD)])\n",
        "                    pass\n",
        "tests/edge/delivery",
    ),
    Breakage(
        "every verdict is `replayed`: false",
        "edge/delivery/message.py",
        "if replayed else",
        "if False else",
        "tests/edge/delivery",
    ),
    Breakage(
        "the mailbox keeps the oldest frame",
        "edge/capture/mailbox.py",
        "            self._slots[frame.camera] = frame\n            self._changed.notify_all()\n\n"
        "    def put(",
        "            self._slots.setdefault(frame.camera, frame)\n"
        "            self._changed.notify_all()\n\n    def put(",
        "tests/edge/capture",
    ),
    Breakage(
        "a frozen camera is trusted",
        "edge/capture/trust.py",
        "if not _same(before, pixels) and not _same(self._trusted, pixels):",
        "if pixels.size:",
        "tests/edge/capture/test_reader_trust.py",
    ),
    Breakage(
        "a picture that its driver marks as damaged is judged",
        "edge/capture/v4l2marks.py",
        "bool(min(waiting)[1] & _ERROR)",
        "False",
        "tests/edge/capture/test_v4l2marks.py",
    ),
    Breakage(
        "an old picture is fresh",
        "edge/capture/trust.py",
        "if age_s <= self._limits.max_age_s:",
        "if age_s >= 0:",
        "tests/edge/capture/test_reader_trust.py",
    ),
    Breakage(
        "a torn picture in shared memory is taken",
        "edge/capture/ring.py",
        "if head != (number, size) or tail != (number,):",
        "if head[0] > 1 << 62:",
        "tests/edge/capture/test_ring.py",
    ),
    Breakage(
        "a slot is lent while its picture is looked at",
        "edge/capture/ring.py",
        "return np.asarray(_Picture(self, slot))",
        "return np.asarray(_Picture(self, slot)) if not self.give_back(slot) else None",
        "tests/edge/capture/test_process.py tests/edge/capture/test_ring.py",
    ),
    Breakage(
        "a hung driver is left alive",
        "edge/capture/process.py",
        "            self._child.kill()\n",
        "            self._child.poll()\n",
        "tests/edge/capture/test_process.py",
    ),
    Breakage(
        "a file is judged again after a restart",
        "edge/capture/folder.py",
        "if self._judged(receipt):",
        "if False:",
        "tests/edge/capture",
    ),
    Breakage(
        "unknown keys are accepted",
        "edge/section.py",
        'extra="forbid"',
        'extra="ignore"',
        "tests/edge/test_configfile.py tests/edge/test_config.py",
    ),
    Breakage(
        "a truncated picture is judged",
        "edge/picture.py",
        "    if not whole:",
        "    if False:",
        "tests/edge/test_picture.py",
    ),
    Breakage(
        "an escape is counted as caught",
        "trainer/metrics.py",
        'rate(confusion[name]["pass"]',
        'rate(confusion[name]["fail"]',
        "tests/trainer/test_evaluation.py",
    ),
    Breakage(
        "the gate lets flips through",
        "converter/gate.py",
        "compared.flip_share > limits.max_flips",
        "False",
        "tests/converter",
    ),
]
