"""The breakages of scripts.breakage, and the tests that must notice them."""

from dataclasses import dataclass

from scripts.code_edit import Edit


@dataclass(frozen=True, slots=True)
class Breakage:
    """One defect: its name, its edit, and the tests that must notice it."""

    name: str
    edit: Edit
    tests: str


BREAKAGES = [
    Breakage(
        "a score at reject_at no longer fails",
        Edit(
            "edge.inspection.decision:decide",
            "score >= at.reject_at",
            "score > at.reject_at",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a score at review_from passes",
        Edit(
            "edge.inspection.decision:decide",
            "score >= at.review_from",
            "score > at.review_from",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a wrong scaling fills an integer input",
        Edit(
            "edge.inspection.pixel_scaling:InputTensor._check_range",
            "fits or not good",
            "False",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "score is P(ok)",
        Edit(
            "edge.inspection.decision:judge",
            "1.0 - by_label[ok_label]",
            "by_label[ok_label]",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a score of NaN passes",
        Edit(
            "edge.inspection.decision:judge",
            "not math.isnan(score)",
            "True",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a JPEG is decoded smaller than the model's input",
        Edit(
            "edge.inspection.decoding:_multiple",
            "min(sides) * crop.least_scale(width, height) if sides else 0.0",
            "99.0",
        ),
        "tests/edge/inspection/test_decoding.py",
    ),
    Breakage(
        "a reduced picture is cut at another place",
        Edit(
            "edge.inspection.view_crop:_slices",
            "(number / reduced for number in box)",
            "box",
        ),
        "tests/edge/inspection/test_decoding.py",
    ),
    Breakage(
        "golden pictures are decoded whole, though the model reduces",
        Edit(
            "edge.inspection.inspector:Inspector.check_golden",
            "model_input(encoded, spec, pinned=True)",
            "model_input(encoded, spec.replace(decoding=None), pinned=True)",
        ),
        "tests/edge/inspection/test_decoding.py",
    ),
    Breakage(
        "a fault becomes pass",
        Edit(
            "edge.pipeline.judge:Judge._verdict",
            "judgement.outcome if judgement else 'error'",
            "judgement.outcome if judgement else 'pass'",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "the deadline is ignored",
        Edit(
            "edge.pipeline.judge:Judge._late",
            "age_ms <= self._deadline_ms",
            "True",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "a frame from before the trigger is taken",
        Edit(
            "edge.pipeline.part_tracker:PartTracker._assign",
            "frame.captured_tick >= part.due",
            "True",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a frame serves two parts",
        Edit(
            "edge.pipeline.part_tracker:PartTracker._assign",
            "return [*part_frames, PartFrame(part, _owned(frame))]",
            "part_frames.append(PartFrame(part, _owned(frame)))",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a part is judged by the recipe of its frame",
        Edit(
            "edge.pipeline.part_assembler:PartAssembler.add",
            "self._judges.of(part.recipe)",
            "self._judges.of(part_frame.frame.recipe)",
        ),
        "tests/edge/pipeline/test_recipes.py",
    ),
    Breakage(
        "a refused recipe leaves the one before",
        Edit(
            "edge.pipeline.recipe_selection:RecipeSelection.choose",
            "before == number",
            "before == number or number not in self.names",
        ),
        "tests/edge/pipeline/test_recipes.py tests/edge/pipeline/test_recipe_selection.py",
    ),
    Breakage(
        "a part's deadline is ignored",
        Edit(
            "edge.pipeline.part_tracker:PartTracker.overdue",
            "tick >= each.part.until",
            "False",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a late judgement of a part counts",
        Edit(
            "edge.pipeline.judge:Judge._late",
            "tick <= part.until",
            "True",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "open parts are forgotten at the stop",
        Edit(
            "edge.pipeline.part_assembler:PartAssembler.end_parts",
            "tracker.stop_accepting()",
            "tracker.stop_accepting()[:0]",
        ),
        "tests/edge/pipeline",
    ),
    Breakage(
        "hysteresis raises the thresholds",
        Edit(
            "edge.inspection.decision:with_hysteresis",
            "at.review_from - by",
            "at.review_from + by",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "colours stay BGR",
        Edit(
            "edge.inspection.preprocessing:to_model_input",
            "cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)",
            "resized",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "resize without averaging",
        Edit(
            "edge.inspection.preprocessing:_resize",
            "cv2.INTER_AREA",
            "cv2.INTER_NEAREST",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "resize by interpolation",
        Edit(
            "edge.inspection.preprocessing:_resize",
            "cv2.INTER_AREA",
            "cv2.INTER_LINEAR",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "golden pictures are not compared",
        Edit(
            "edge.inspection.inspector:Inspector.check_golden",
            "abs(score - picture.score) > GOLDEN_TOLERANCE",
            "False",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a refused row counts as acknowledged",
        Edit(
            "edge.mqtt.send_scheduler:SendScheduler.settle",
            "cause is None",
            "seq",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "a row counts as acknowledged when it is sent",
        Edit(
            "edge.mqtt.sender:Sender._send",
            "self._window.add(mid, SentMessage(now, self._topic, len(body), row.seq))",
            "self._scheduler.accept(row.seq)",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "rows in flight at a disconnect are not sent again",
        Edit(
            "edge.mqtt.send_scheduler:SendScheduler.begin",
            "self._backlog = 0",
            "",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "a picture cropped to the camera's view is cropped again",
        Edit(
            "edge.inspection.inspector:Inspector.prepare",
            "to_model_input(pixels, self.input)",
            "preprocess(pixels, self.input)",
        ),
        "tests/edge/inspection/test_model_view.py",
    ),
    Breakage(
        "golden pictures are not cropped",
        Edit(
            "edge.inspection.inspector:Inspector.check_golden",
            "model_input(encoded, spec, pinned=True)",
            "model_input(encoded, spec.replace(view=None), pinned=True)",
        ),
        "tests/edge/inspection/test_model_view.py",
    ),
    Breakage(
        "an open part is noted too late for a kill",
        Edit(
            "edge.pipeline.part_tracker:PartTracker._announce",
            "self._on_accepted(part)",
            "",
        ),
        "tests/edge/pipeline/test_part_tracker.py",
    ),
    Breakage(
        "a repeated picture is taken for a part",
        Edit(
            "edge.capture.reader:Reader._take",
            "self._mailbox.note_rejected(self.id, rejection.why)\nreturn",
            "",
        ),
        "tests/edge/capture/test_repeats.py",
    ),
    Breakage(
        "seq skips a number",
        Edit(
            "edge.storage.outbox.store:OutboxStore._first_number",
            "return behind + 1",
            "return behind + 2",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "seq is used again after its row has gone",
        Edit(
            "edge.storage.outbox.database:OutboxDatabase._set_up",
            "'SELECT last, rows FROM state'",
            "'SELECT coalesce(max(seq), 0), count(*) FROM outbox'",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "processed items are not stored",
        Edit(
            "edge.storage.outbox.database:OutboxDatabase.apply",
            "db.executemany('INSERT OR IGNORE INTO judged VALUES (?, ?)', receipts)",
            "",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "verdicts that the disk refused are dropped",
        Edit(
            "edge.storage.outbox.writer:OutboxWriter._degrade",
            "self._show_unstored([one.row for one in self._queue.held.first()])",
            "",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "every verdict is `replayed`: false",
        Edit(
            "edge.core.messages:sent_body",
            "replayed",
            "False",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "the mailbox keeps the oldest frame",
        Edit(
            "edge.pipeline.mailbox:Mailbox.offer",
            "slot.clear()",
            "return",
        ),
        "tests/edge/capture",
    ),
    Breakage(
        "a frozen camera is trusted",
        Edit(
            "edge.capture.quality:FrameChecks._check_repeats",
            "not repeats and (not _identical(previous, pixels)) "
            "and (not _identical(accepted, pixels))",
            "pixels.size",
        ),
        "tests/edge/capture/test_reader_trust.py",
    ),
    Breakage(
        "a camera that froze while idle is trusted",
        Edit(
            "edge.capture.isolation.child:DuplicateFrameDetector.add",
            "self.repeats + 1 if same else 0",
            "0 * same",
        ),
        "tests/edge/capture/test_demand.py",
    ),
    Breakage(
        "a picture that its driver marks as damaged is judged",
        Edit(
            "edge.capture.drivers.v4l2_buffers:BufferFlags.next_is_damaged",
            "bool(min(waiting)[1] & _ERROR)",
            "False",
        ),
        "tests/edge/capture/test_v4l2_buffers.py",
    ),
    Breakage(
        "an old picture is fresh",
        Edit(
            "edge.capture.quality:FrameChecks._check_age",
            "age_s <= self._limits.max_age_s",
            "age_s >= 0",
        ),
        "tests/edge/capture/test_reader_trust.py",
    ),
    Breakage(
        "a torn picture in shared memory is taken",
        Edit(
            "edge.capture.isolation.frame_ring:FrameRing.take",
            "head != (number, whole) or tail != (number,)",
            "head[0] > 1 << 62",
        ),
        "tests/edge/capture/test_frame_ring.py",
    ),
    Breakage(
        "a frame slot is reused while its picture is in use",
        Edit(
            "edge.capture.isolation.frame_ring:FrameRing.take",
            "np.asarray(_Picture(self, slot, whole))",
            "(np.asarray(_Picture(self, slot, whole)), self.give_back(slot))[0]",
        ),
        "tests/edge/capture/test_isolated_camera.py tests/edge/capture/test_frame_ring.py",
    ),
    Breakage(
        "a hung driver is left alive",
        Edit(
            "edge.capture.isolation.isolated_camera:IsolatedCamera._end",
            "self._handle.kill()",
            "",
        ),
        "tests/edge/capture/test_isolated_camera.py",
    ),
    Breakage(
        "a camera process that hangs outlives the daemon",
        Edit(
            "edge.capture.isolation.forkserver:ForkServer.run",
            "os.kill(pid, signal.SIGKILL)",
            "self._handles[pid].close()",
        ),
        "tests/edge/capture/test_forkserver.py",
    ),
    Breakage(
        "a camera process outlives the fork server",
        Edit(
            "edge.capture.isolation.forkserver:ForkServer._become_child",
            "die_with_parent(server)",
            "True",
        ),
        "tests/edge/capture/test_forkserver.py",
    ),
    Breakage(
        "a fork server that hangs is kept",
        Edit(
            "edge.capture.isolation.isolated_camera:IsolatedCamera._end",
            "self._fork_server.replace()",
            "",
        ),
        "tests/edge/capture/test_forkserver.py",
    ),
    Breakage(
        "two bytes of SQLite's header pass for a disk that refuses",
        Edit(
            "edge.storage.outbox.sqlite:kind_of",
            "'damaged' if 'readonly' in text and _says_not_to_write(path) else 'refused'",
            "'refused'",
        ),
        "tests/edge/storage/test_store.py",
    ),
    Breakage(
        "a new outbox has no record of its numbers",
        Edit(
            "edge.storage.outbox.store:OutboxStore.__init__",
            "self.numbers.begin()",
            "pass",
        ),
        "tests/edge/storage/test_full_disk_at_start.py",
    ),
    Breakage(
        "a log that cannot be written back grows past the cap",
        Edit(
            "edge.storage.outbox.database:OutboxDatabase.apply",
            "self._write_back_log()",
            "pass",
        ),
        "tests/edge/storage/test_cap.py",
    ),
    Breakage(
        "a file that opens late is not read in the same connection",
        Edit(
            "edge.mqtt.send_scheduler:SendScheduler.next",
            "self._notice_new_file()",
            "pass",
        ),
        "tests/edge/mqtt/test_file_opened_late.py",
    ),
    Breakage(
        "large pictures of a folder are not limited by bytes",
        Edit(
            "edge.pipeline.mailbox:_Slot.is_full",
            "self.bytes >= _ITEMS_BYTES",
            "False",
        ),
        "tests/edge/pipeline/test_mailbox.py",
    ),
    Breakage(
        "inotify events beyond one buffer are lost",
        Edit(
            "edge.capture.sources.inotify:FolderWatch.complete",
            "len(data) > self._buffer_bytes - _MAX_EVENT",
            "False",
        ),
        "tests/edge/capture/test_folder_watched.py",
    ),
    Breakage(
        "brightness leaves a colour channel out",
        Edit(
            "edge.capture.quality:brightness",
            "grey += sample[..., 2]",
            "",
        ),
        "tests/edge/capture/test_light.py",
    ),
    Breakage(
        "a file is judged again after a restart",
        Edit(
            "edge.capture.sources.folder:FolderCamera._take",
            "self._asked(self._judged, receipt)",
            "False",
        ),
        "tests/edge/capture",
    ),
    Breakage(
        "a verdict that cannot be written uses a number",
        Edit(
            "edge.storage.outbox.writer:OutboxWriter._next_row",
            "number, operating_time = self._next, self._store.operating_time()",
            "number, operating_time = self._next, self._store.operating_time()\nself._next += 1",
        ),
        "tests/edge/storage/test_exceptions.py",
    ),
    Breakage(
        "another program's database is set aside",
        Edit(
            "edge.storage.outbox.ownership:require_ours",
            "_foreign(path, outbox or path)",
            "''",
        ),
        "tests/edge/storage/test_ownership.py",
    ),
    Breakage(
        "a half-written label stays in the file",
        Edit("edge.storage.labels:Labels._append", "os.ftruncate(file, size)", "None"),
        "tests/edge/storage/test_labels.py",
    ),
    Breakage(
        "a client that reads nothing keeps its thread",
        Edit("edge.web.serving:SlowClients.sweep", "channel.handle_close()", "None"),
        "tests/edge/web/test_slow.py",
    ),
    Breakage(
        "every kept pass counts for the escape rate",
        Edit("edge.plant.line_estimate:_estimate", "label.sampled", "True"),
        "tests/edge/plant/test_records.py",
    ),
    Breakage(
        "a wrong date deletes the history",
        Edit(
            "edge.storage.history.writer:HistoryWriter._trusted_now",
            "now if tick - self._steady_from >= _STEADY_S else None",
            "now",
        ),
        "tests/edge/storage/history/test_writer.py",
    ),
    Breakage(
        "verdicts after a new outbox overwrite the order of the history",
        Edit(
            "edge.storage.history.database:HistoryDatabase.add",
            "self._base = self._highest",
            "self._base = self._base",
        ),
        "tests/edge/storage/history/test_database.py",
    ),
    Breakage(
        "the archive writes and deletes through links",
        Edit(
            "edge.storage.evidence.files:listed",
            "name is not None and entry.is_file(follow_symlinks=False)",
            "name is not None",
        ),
        "tests/edge/storage/evidence/test_ownership.py",
    ),
    Breakage(
        "a kept picture has its name before its record has",
        Edit(
            "edge.storage.evidence.files:write_evidence",
            "files = [record, *reversed(pictures)]",
            "files = [*reversed(pictures), record]",
        ),
        "tests/edge/storage/evidence/test_kills.py",
    ),
    Breakage(
        "labelled pictures go as any other",
        Edit(
            "edge.storage.evidence.index:EvidenceIndex._may_go",
            "stem != self._newest and not self._is_protected(verdict_id)",
            "stem != self._newest",
        ),
        "tests/edge/storage/evidence/test_limits.py",
    ),
    Breakage(
        "a link in a folder is judged",
        Edit(
            "edge.core.regular_file:read_regular",
            "os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK",
            "os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK",
        ),
        "tests/edge/capture/test_hostile_entries.py",
    ),
    Breakage(
        "a receipt in memory is not asked",
        Edit(
            "edge.storage.processed_items:ProcessedItems.judged",
            "self._in_memory(camera, receipt)",
            "False",
        ),
        "tests/edge/storage/test_processed_items.py",
    ),
    Breakage(
        "a threshold above 1 is kept",
        Edit(
            "edge.inspection.decision:Thresholds",
            "reject_at: Annotated[float, Field(ge=0, le=1)]",
            "reject_at: float",
        ),
        "tests/edge/inspection/test_decision.py",
    ),
    Breakage(
        "unknown keys are accepted",
        Edit(
            "edge.core.record:Model",
            '"forbid"',
            '"ignore"',
        ),
        "tests/edge/config/test_loader.py tests/edge/core/test_validation.py",
    ),
    Breakage(
        "a truncated picture is judged",
        Edit(
            "edge.core.image:_refuse_truncated",
            "not whole",
            "False",
        ),
        "tests/edge/core/test_image.py",
    ),
    Breakage(
        "a JPEG that is damaged inside is judged",
        Edit(
            "edge.core.jpeg:_pixels",
            "simplejpeg.decode_jpeg("
            "data, colours, min_width=width, min_height=height, strict=True)",
            "simplejpeg.decode_jpeg("
            "data, colours, min_width=width, min_height=height, strict=False)",
        ),
        "tests/edge/core/test_jpeg.py",
    ),
    Breakage(
        "a progressive JPEG without its last scans is judged",
        Edit("edge.core.jpeg:decode_jpeg", "header.several_scans", "False"),
        "tests/edge/core/test_jpeg.py",
    ),
    Breakage(
        "an escape is counted as caught",
        Edit(
            "trainer.evaluation.metrics:evaluate",
            "confusion[name]['pass']",
            "confusion[name]['fail']",
        ),
        "tests/trainer/evaluation/test_evaluation.py",
    ),
    Breakage(
        "the gate lets flips through",
        Edit(
            "converter.selection.quality_gate:objections",
            "score_diff.flip_share > limits.max_flips",
            "False",
        ),
        "tests/converter",
    ),
    Breakage(
        "READY waits for the next watchdog tick",
        Edit(
            "edge.monitoring.supervisor:Supervisor.pause_s",
            "self._ready",
            "self._started_at",
        ),
        "tests/edge/monitoring/test_supervisor.py",
    ),
    Breakage(
        "bench: a verdict that was not acknowledged is not noticed",
        Edit(
            "edge_bench.interleave:refuse_losses",
            "stored != acked or waiting",
            "False",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: frames that were not judged are not noticed",
        Edit(
            "edge_bench.interleave:refuse_faults",
            "missing > _MAX_PENDING * len(last.body['cameras'])",
            "False",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: the turns of other candidates count too",
        Edit(
            "edge_bench.interleave:rates",
            "min(end, last.measured) - max(started, first.measured)",
            "last.measured - first.measured",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: a run with an error verdict is a measurement",
        Edit(
            "edge_bench.interleave:refuse_faults",
            "last.errors",
            "False",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: CPU of processes that have ended is forgotten",
        Edit(
            "edge_bench.process_tree:ProcessTree.cpu_s",
            "(int(n) for n in fields[11:15])",
            "(int(n) for n in fields[11:13])",
        ),
        "tests/edge_bench/test_process_tree.py",
    ),
    Breakage(
        "bench: grandchildren are not counted",
        Edit(
            "edge_bench.process_tree:ProcessTree.pids",
            "waiting += sorted(children[pid], reverse=True)",
            "found += children[pid] if pid == self.pid else []",
        ),
        "tests/edge_bench/test_process_tree.py",
    ),
    Breakage(
        "bench: a verdict is timed from the newest picture",
        Edit(
            "edge_bench.latency:match_pictures",
            "bisect.bisect(times, captured + _MAX_EARLY_S)",
            "len(times)",
        ),
        "tests/edge_bench/test_latency.py",
    ),
    Breakage(
        "bench: MQTT 5 properties are taken for the body",
        Edit(
            "edge_bench.packets:PublishParser._publish",
            "self._version >= _V5",
            "False",
        ),
        "tests/edge_bench/test_packets.py",
    ),
]
