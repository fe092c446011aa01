"""Breakages that take out the fixes of faults from the field, and the tests that must notice them.

A name begins with its kind of fault; docs/testing.md says what each kind is.
"""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

FIELD = [
    Breakage(
        "A1: extraneous bytes inside a scan count as padding",
        Edit("edge.core.jpeg:_without_padding", "marker == _SOS", "marker == _EOI"),
        "tests/edge/core/test_jpeg.py",
    ),
    Breakage(
        "A2: a float input without model.scaling is filled with 0 to 255",
        Edit(
            "edge.inspection.pixel_scaling:InputTensor.filling",
            "scaling is not None and not SCALINGS[scaling].fits(self.channels)",
            'not SCALINGS[scaling := scaling or "inside"].fits(self.channels)',
        ),
        "tests/edge/inspection/test_plain_models.py",
    ),
    Breakage(
        "A2: an integer input is filled without its scale",
        Edit(
            "edge.inspection.pixel_scaling:InputTensor._filled",
            "values / (self.scale or 1.0)",
            "values",
        ),
        "tests/edge/inspection/test_plain_models.py",
    ),
    Breakage(
        "A3: a camera is trusted from its first picture on",
        Edit(
            "edge.capture.settling:Settling.reopened",
            "not (self._settle_s or self._frames or self._needs_steady)",
            "True",
        ),
        "tests/edge/capture/test_settling.py",
    ),
    Breakage(
        "A3: a camera settles only after its first opening",
        Edit("edge.capture.reader:Reader._run_once", "self._settling.reopened()", ""),
        "tests/edge/capture/test_settling.py",
    ),
    Breakage(
        "B1: a refused reload leaves the new workers",
        Edit("edge.pipeline.pipeline:Pipeline.prepare", "self.workers.keep_state(undo)", ""),
        "tests/edge/pipeline/test_pipeline.py tests/system/test_reload_faults.py",
    ),
    Breakage(
        "B1: a refused reload leaves the camera shut",
        Edit("edge.pipeline.pipeline:Pipeline._drain", "undo.callback(unit.accept_again)", ""),
        "tests/edge/pipeline/test_pipeline.py tests/system/test_reload_faults.py",
    ),
    Breakage(
        "B2: a lone surrogate is good text",
        Edit("edge.core.text:fault_in", "found is None", "found is None or found[0] > '\\ud7ff'"),
        "tests/edge/core/test_text.py",
    ),
    Breakage(
        "B2: a thread that raised does no more work",
        Edit("edge.core.threads:NamedThread.run", "time.sleep(PAUSE_S)", "return"),
        "tests/edge/core/test_threads.py",
    ),
    Breakage(
        "B2: a thread that has ended is no fault",
        Edit(
            "edge.core.threads:ThreadWatch.faults",
            "thread.ident is not None and not thread.is_alive()",
            "False",
        ),
        "tests/edge/core/test_threads.py",
    ),
    Breakage(
        "B2: a value forges a line of the log",
        Edit(
            "edge.core.logs:LineFormatter.formatMessage",
            "one_line(redact(record.message))",
            "redact(record.message)",
        ),
        "tests/edge/core/test_logs.py",
    ),
    Breakage(
        "B3: the budget deletes other people's files",
        Edit(
            "edge.storage.evidence.files:swept",
            "is_unfinished(entry.name)",
            "read_name(entry.name) is None",
        ),
        "tests/edge/storage/evidence",
    ),
    Breakage(
        "B3: a clock of 1970 makes the newest picture the oldest",
        Edit(
            "edge.storage.evidence.files:age_of",
            "return order, day_of(path.name) or '', number_of(path.name)",
            "return 0, day_of(path.name) or '', number_of(path.name)",
        ),
        "tests/edge/storage/evidence/test_ownership.py",
    ),
    Breakage(
        "B4: a wake-up while nothing waits is lost",
        Edit("edge.pipeline.mailbox:Mailbox.wake", "self._woken = True", ""),
        "tests/edge/pipeline/test_lost_wakeups.py",
    ),
    Breakage(
        "B4: a part's frame does not wake the worker",
        Edit(
            "edge.pipeline.mailbox:Mailbox.offer",
            "if part_frames:\n    self._changed.notify_all()",
            "",
        ),
        "tests/edge/pipeline/test_lost_wakeups.py",
    ),
    Breakage(
        "B5: the folder asks for stored receipts only",
        Edit(
            "edge.storage.processed_items:ProcessedItems.judged",
            "self._in_memory(camera, receipt) or self.stored(camera, receipt)",
            "self.stored(camera, receipt)",
        ),
        "tests/edge/storage/test_processed_items.py",
    ),
    Breakage(
        "B6: a failing pin costs the verdict",
        Edit(
            "edge.plant.plant:VerdictDelivery.deliver",
            "self._attempt('the wires', lambda: self._plant.signal(verdict))",
            "self._plant.signal(verdict)",
        ),
        "tests/edge/plant/test_signal_outputs.py",
    ),
    Breakage(
        "B6: a raised alarm is written to its pin only once",
        Edit(
            "edge.plant.signal_outputs:SignalOutputs.run_once",
            "[tick + _ASSERT_S] if raised else []",
            "[]",
        ),
        "tests/edge/plant/test_signal_outputs.py",
    ),
    Breakage(
        "B7: the query of an address is published",
        Edit(
            "edge.core.redaction:_public_url",
            "f\"{kind}://{host}{'/'.join(_public_segments(path.split('/')))}\"",
            'f"{kind}://{host}{rest[len(authority):]}"',
        ),
        "tests/edge/core/test_redaction.py",
    ),
    Breakage(
        "B7: an address that cannot be divided is shown",
        Edit(
            "edge.core.redaction:_public_url",
            "_HOST.fullmatch(host) is None or '\\\\' in authority or '@' in path",
            "False",
        ),
        "tests/edge/core/test_redaction.py",
    ),
    Breakage(
        "B7: a byte order mark is part of a secret",
        Edit("edge.config.annotations:_secret_in", "decode_text(content)", "content.decode()"),
        "tests/edge/config/test_loader.py",
    ),
    Breakage(
        "B8: a pipe with a picture's name is read",
        Edit(
            "edge.core.regular_file:regular_status",
            "stat.S_ISREG(status.st_mode)",
            "not stat.S_ISDIR(status.st_mode)",
        ),
        "tests/edge/capture/test_hostile_entries.py",
    ),
    Breakage(
        "B8: move_to may be the source under another name",
        Edit(
            "edge.config.folders:_identities.look",
            "found[path] = status.st_dev, status.st_ino",
            "",
        ),
        "tests/edge/config/test_folders.py",
    ),
    Breakage(
        "B8: a judged file overwrites another of its name",
        Edit(
            "edge.capture.sources.judged_file:rename_new",
            "libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE)",
            "libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], 0)",
        ),
        "tests/edge/capture/test_judged_file.py",
    ),
    Breakage(
        "B8: a share that does not answer is no fault",
        Edit(
            "edge.capture.reader:Reader._check_source",
            "age <= _SOURCE_S or self.state == 'silent'",
            "True",
        ),
        "tests/edge/capture/test_item_sources.py",
    ),
    Breakage(
        "B9: a packet of any length is read into memory",
        Edit(
            "edge.mqtt.incoming_limit:_LimitedReads.recv",
            "if size > MAX_INCOMING:\n    raise PacketTooLongError(size, _topic_of(data))",
            "",
        ),
        "tests/edge/mqtt/test_incoming_limit.py",
    ),
    Breakage(
        "B9: the embedded broker remembers every client",
        Edit(
            "edge.mqtt.embedded_broker:SubscriberTable.disconnected",
            "len(self._patterns) > len(self._connections) + _REMEMBERED",
            "False",
        ),
        "tests/edge/mqtt/test_embedded_broker.py",
    ),
    Breakage(
        "B9: the embedded broker waits for a client that does not read",
        Edit(
            "edge.mqtt.embedded_limits:LimitedWriter.drain",
            "await asyncio.wait_for(super().drain(), STALLED_S)",
            "await super().drain()",
        ),
        "tests/edge/mqtt/test_embedded_broker.py",
    ),
    Breakage(
        "B9: aliases expand without a limit",
        Edit("edge.config.yaml_reader:_check_size", "nodes > MAX_NODES", "nodes > 10**6"),
        "tests/edge/config/test_yaml_reader.py",
    ),
    Breakage(
        "B10: a number is spent before the body is built",
        Edit(
            "edge.storage.outbox.writer:OutboxWriter._next_row",
            "number, operating_time = self._next, self._store.operating_time()",
            "number, self._next = self._next, self._next + 1\n"
            "operating_time = self._store.operating_time()",
        ),
        "tests/edge/storage/test_exceptions.py",
    ),
    Breakage(
        "B10: an outbox is opened through a link",
        Edit("edge.storage.outbox.ownership:require_ours", "stat.S_ISLNK(mode)", "False"),
        "tests/edge/storage/test_ownership.py",
    ),
    Breakage(
        "B11: a message that ends each connection is sent first again",
        Edit(
            "edge.mqtt.breaking_messages:BreakingMessages.connected",
            "self._early >= _EARLY_ENDS",
            "False",
        ),
        "tests/edge/mqtt/test_breaking_messages.py",
    ),
    Breakage(
        "B11: a broker without retained messages gets nothing",
        Edit(
            "edge.mqtt.publisher:Publisher.run",
            "error.no_retain and self._brokers.retain",
            "False",
        ),
        "tests/edge/mqtt/test_breaking_messages.py",
    ),
    Breakage(
        "B11: a refused SUBSCRIBE is never sent again",
        Edit(
            "edge.mqtt.publisher:Publisher._handle",
            "self._subscriptions.refused(event, self._clock.tick())",
            "self._subscriptions.granted(event.pattern)",
        ),
        "tests/edge/mqtt/test_breaking_messages.py",
    ),
    Breakage(
        "B11: check asks under another client id than run",
        Edit("edge.mqtt.probe:check_broker", "daemon_runs", "True"),
        "tests/edge/mqtt/test_probe.py",
    ),
    Breakage(
        "B12: the first challenge of a camera is answered, not the strongest",
        Edit(
            "edge.capture.drivers.http_login:Login.answer",
            "max(offered, key=lambda one: one.strength, default=Challenge(''))",
            "offered[0] if offered else Challenge('')",
        ),
        "tests/edge/capture/test_http_login.py",
    ),
    Breakage(
        "B12: the camera's own certificate is not accepted",
        Edit(
            "edge.capture.drivers.http_stream:HTTPStream._tls_context",
            "context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN",
            "",
        ),
        "tests/edge/capture/test_http_tls.py",
    ),
    Breakage(
        "B12: a wrong Content-Length is believed again and again",
        Edit(
            "edge.capture.drivers.jpeg_splitter:JPEGSplitter._find_end",
            "length is None",
            "True",
        ),
        "tests/edge/capture/test_jpeg_splitter.py",
    ),
    Breakage(
        "B13: a merged key overrides the mapping's own",
        Edit(
            "edge.config.yaml_reader:_Builder._merge",
            "name is None or name in into",
            "name is None",
        ),
        "tests/edge/config/test_yaml_reader.py",
    ),
    Breakage(
        "B13: 0755 is a number",
        Edit("edge.config.yaml_reader:_Builder._scalar", "_SURPRISING.fullmatch(raw)", "False"),
        "tests/edge/config/test_yaml_reader.py",
    ),
    Breakage(
        "B13: a URL is a host",
        Edit(
            "edge.config.address:_check_for.check",
            "_NAME.fullmatch(host) and not host.isdigit()",
            "True",
        ),
        "tests/edge/config/test_address.py",
    ),
    Breakage(
        "B14: the network reaches HTTP without a token",
        Edit(
            "edge.config.schema:WebConfig._check_reachable",
            "self.token_file is None",
            "False",
        ),
        "tests/edge/config/test_address.py",
    ),
    Breakage(
        "B14: one of two pictures is dropped silently",
        Edit("edge.web.server:_picture_and_camera", "len(pictures) > 1", "False"),
        "tests/edge/web/test_uploads.py",
    ),
    Breakage(
        "B15: a kept picture has its name before it is on the disk",
        Edit("edge.storage.evidence.files:_write", "os.fsync(file.fileno())", ""),
        "tests/edge/storage/evidence/test_ownership.py",
    ),
    Breakage(
        "B15: a picture that arrives late is as old as its last byte",
        Edit(
            "edge.capture.drivers.mjpeg:MJPEGCamera.grab",
            "self._capture_tick(part, self._arrivals[0][1])",
            "self._capture_tick(part, self._arrivals[-1][1])",
        ),
        "tests/edge/capture/test_mjpeg.py",
    ),
    Breakage(
        "B15: a file may stand twice in a model file",
        Edit("edge.inspection.model_file:_refuse_ambiguous", "count > 1", "False"),
        "tests/edge/inspection/test_model_file.py",
    ),
    Breakage(
        "B15: folders may move files into each other",
        Edit(
            "edge.config.folders:circles",
            "(way := _way(of[target], of[source], targets))",
            "(way := ())",
        ),
        "tests/edge/config/test_folders.py",
    ),
    Breakage(
        "B15: trigger numbers start again at 1",
        Edit(
            "edge.storage.trigger_numbers:TriggerNumbers.__init__",
            "dict(newest['last']) if newest else {}",
            "{}",
        ),
        "tests/edge/storage/test_trigger_numbers.py",
    ),
    Breakage(
        "B16: the folders of archives and file servers are classes",
        Edit(
            "trainer.data.folder_layout:_entries",
            "entry.name.lower() not in _SYSTEM_FOLDERS",
            "True",
        ),
        "tests/trainer/data/test_folder_layout.py",
    ),
    Breakage(
        "B16: files in other formats are left out silently",
        Edit(
            "trainer.data.folder_layout:_counts_as_left_out",
            "file.name.lower() not in _SYSTEM_FILES",
            "False",
        ),
        "tests/trainer/data/test_folder_layout.py",
    ),
    Breakage(
        "B16: names of macOS are not found",
        Edit("edge.core.text:typed", "unicodedata.normalize('NFC', text)", "text"),
        "tests/trainer/data/test_folder_layout.py",
    ),
    Breakage(
        "B16: a manifest has commas only",
        Edit("trainer.data.manifest:_delimiter", "max(_DELIMITERS, key=first.count)", "','"),
        "tests/trainer/data/test_folder_layout.py",
    ),
    Breakage(
        "B17: a quarter of a folder is measured",
        Edit(
            "trainer.data.dataset:load_for_evaluation",
            "find_pictures(root).split",
            "True",
        ),
        "tests/trainer/data/test_folder_layout.py",
    ),
    Breakage(
        "B17: figures of different pictures stand in one column",
        Edit("converter.report.text:scheme_groups", "_pictures(trial) or whole", "whole"),
        "tests/converter/report/test_schemes_table.py",
    ),
    Breakage(
        "B18: mixed precision stays in the network",
        Edit(
            "converter.loading.keras_versions:in_float32",
            "not _types(model) & set(_REDUCED_TYPES)",
            "True",
        ),
        "tests/converter/loading/test_keras_versions.py",
    ),
    Breakage(
        "B18: the refusal of a Keras 2 file names no version",
        Edit(
            "converter.loading.keras_versions:way_out",
            "is_keras_2(version) and not library.__name__.startswith('tf_keras')",
            "False",
        ),
        "tests/converter/loading/test_keras_versions.py",
    ),
    Breakage(
        "B18: Hangul is drawn as question marks",
        Edit("edge.core.drawn_text:_draws_every_script", "hasattr(cv2, 'FontFace')", "False"),
        "tests/edge/core/test_drawn_text.py",
    ),
]
