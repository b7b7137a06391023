"""The stage ``prepare``: from raw parallel text to a dataset.

Reads: the files that a corpus description names.
Writes: a dataset; ``pipeline/dataset/manifest.py`` shows its files.
Run: ``lingo prepare corpus.yaml --output DATASET``
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lingo_model import InputError, Subwords
from pipeline.dataset.manifest import (
    MANIFEST,
    SUBWORDS,
    DatasetManifest,
    InputCounts,
    LeakageCertificate,
    SplitCounts,
)
from pipeline.dataset.report import REPORT, REPORT_PAGE, DatasetReport
from pipeline.dataset.splits import SPLITS, Split
from pipeline.formats.compression import is_compressed
from pipeline.formats.read import are_too_many
from pipeline.observability.progress import OnProgress, ignore_progress, progress_bar
from pipeline.prepare.batches import Chunk, chunks_of
from pipeline.prepare.cleaning import CleaningTask, clean_chunk, read_chunk
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription, effective_clean
from pipeline.prepare.encoding import encode_file, encoding_tasks
from pipeline.prepare.input_checks import check_inputs, extra_schema
from pipeline.prepare.input_names import NamedInput, named_inputs
from pipeline.prepare.job import Job
from pipeline.prepare.leakage import RecountTask, leakage_certificate, recount_shared_sources
from pipeline.prepare.output_folder import DiskOutput, Staging
from pipeline.prepare.pairs import iter_pairs
from pipeline.prepare.pairs_files import PairsFile, PairsFiles
from pipeline.prepare.partitions import (
    PartitionTask,
    UnrepeatedTask,
    find_repeats,
    write_held_out,
    write_unrepeated,
)
from pipeline.prepare.piece_counts import PieceCounts, subword_statistics
from pipeline.prepare.rejected import write_rejected
from pipeline.prepare.repeated_keys import KeyTask, find_repeated_places
from pipeline.prepare.report import html_report
from pipeline.prepare.report_data import dataset_report
from pipeline.prepare.report_samples import RejectedSamples
from pipeline.prepare.reuse import values_made_from
from pipeline.prepare.rules.cross_entropy import check_models
from pipeline.prepare.rules.own import own_rule_files
from pipeline.prepare.rules.registry import rules_of
from pipeline.prepare.s3_output import S3Output
from pipeline.prepare.splitting import SplitRule, reading_order
from pipeline.prepare.subwords_process import train_subwords_in_child
from pipeline.prepare.tasks import TaskResult, TaskRunner, task_runner
from pipeline.prepare.work_folder import default_work_folder, folder_of_output
from pipeline.storage.file_version import FileStamp
from pipeline.storage.files import json_bytes, names_below, stamp_of, write_bytes, write_json
from pipeline.storage.hashing import fingerprint_of, sha256_of_file
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path

_BYTES_PER_PARTITION = 1 << 25
_MAX_PARTITIONS = 1024
_BYTES_FOR_WORKERS = 1 << 25
_COMPRESSED_RATIO = 4


def prepare_corpus(
    corpus: CorpusDescription,
    output: Location,
    config: PrepareConfig = PrepareConfig(),
    *,
    n_workers: int | None = None,
    work_folder: Path | None = None,
    ray_address: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> DatasetManifest:
    """Read, clean, split and encode a corpus. The dataset appears whole or not at all.

    A run that is interrupted or killed leaves what it has done in a hidden folder of ``output``, or
    for an output on S3 in ``work_folder``. The same call goes on with it.

    If ``output`` is a dataset made from the same inputs and settings, it is left as it is. If such
    a dataset is damaged, it is made anew, and a line on standard error says so.

    Args:
        corpus: the languages and the inputs, with absolute paths.
        output: the folder of the dataset, here or on S3; new or empty.
        config: the settings.
        n_workers: the number of processes. None is one for each core, or one for a small corpus.
            The dataset is the same for any number.
        work_folder: the folder where a dataset for S3 is written before it is uploaded. None is
            :func:`pipeline.prepare.work_folder.default_work_folder`.
        ray_address: a Ray cluster that does the tasks; see
            :func:`pipeline.cluster.ray_session.run_on_ray`. All its nodes must see the inputs and
            ``output``, or for an output on S3 the ``work_folder``. None is processes of this
            machine without Ray.
        on_progress: called with the rows done, or the seconds passed, as each phase proceeds.

    Returns:
        the manifest of the dataset.

    Raises:
        InputError: an input cannot be used (see ``pipeline/prepare/input_checks.py``) or changes
            while it is read, no training pair remains, ``output`` holds something else, another
            process writes to it, ``n_workers`` is below 1 or given with ``ray_address``, no cluster
            answers there, or one of its nodes does not see the files.
        RunError: a worker process or the training of the subword model was killed, or another
            dataset is uploaded to ``output``.
        OSError: a file cannot be written, or S3 refuses or does not answer.
    """
    if n_workers is not None and n_workers < 1:
        raise InputError(f"n_workers={n_workers}: needs 1 or more")
    if n_workers is not None and ray_address is not None:
        raise InputError(
            "n_workers and ray_address: the cluster decides how many tasks run at once; leave "
            "n_workers out"
        )
    columns = check_inputs(corpus)
    place = _place_of(output, work_folder or default_work_folder(), on_progress)
    for item in corpus.inputs:
        clean = effective_clean(item, config)
        rules_of(clean, corpus.folder)  # own rules can be loaded
        check_models(clean.cross_entropy, corpus.folder, corpus.source_lang, corpus.target_lang)
    place.check()
    inputs = named_inputs(corpus.inputs)
    stamps = _stamps(corpus)
    made_from = values_made_from(corpus, inputs, config)
    manifest = place.usable(made_from, _report_damage)
    if manifest is not None:
        return manifest
    with place.reserved():
        # Perhaps the process that held the lock before has written it.
        manifest = place.usable(made_from, lambda damage: None)
        if manifest is not None:
            return manifest
        with place.staged(fingerprint_of(made_from)) as staging:
            job = Job(
                dataset=staging.dataset,
                work=staging.work,
                source_lang=corpus.source_lang,
                target_lang=corpus.target_lang,
                parts=tuple(reading_order(inputs)),
                config=config,
                extra=extra_schema(corpus, columns),
                n_partitions=_n_partitions(corpus),
                split_rule=SplitRule.of(corpus.inputs, config.split, n_rows=0),
                rules_folder=corpus.folder,
            )

            def write(runner: TaskRunner) -> DatasetManifest:
                return _write_dataset(job, runner, inputs, made_from, on_progress)

            if ray_address is not None:
                manifest = _write_on_ray(write, staging, ray_address, corpus, config)
            else:
                n_processes = n_workers or _default_n_workers(corpus)
                with task_runner(staging.results, n_processes) as runner:
                    manifest = write(runner)
            is_unchanged = _stamps(corpus) == stamps
            if not is_unchanged and values_made_from(corpus, inputs, config) != made_from:
                raise InputError(f"{output}: an input changed while it was read; prepare it again")
    return manifest


def _write_on_ray(
    write: Callable[[TaskRunner], DatasetManifest],
    staging: Staging,
    address: str,
    corpus: CorpusDescription,
    config: PrepareConfig,
) -> DatasetManifest:
    from pipeline.prepare.ray_tasks import run_tasks_on_ray  # Ray takes memory and time to import

    inputs = _read_by_tasks(corpus, config)
    return run_tasks_on_ray(write, staging.results, address=address, inputs=inputs)


def _read_by_tasks(corpus: CorpusDescription, config: PrepareConfig) -> list[Path]:
    """The inputs of a corpus, the modules of its own rules, and the folders of its models."""
    paths: list[Path] = []
    for item in corpus.inputs:
        paths += item.files
        clean = effective_clean(item, config)
        paths += own_rule_files(clean, corpus.folder)
        models = clean.cross_entropy.forward, clean.cross_entropy.backward
        paths += ((corpus.folder or Path.cwd()) / model for model in models if model is not None)
    return list(dict.fromkeys(paths))


def _place_of(
    output: Location, work_folder: Path, on_progress: OnProgress
) -> DiskOutput | S3Output:
    if isinstance(output, S3Path):
        folder = folder_of_output(work_folder.absolute(), output)
        return S3Output(output, folder, on_progress)
    # pyarrow takes a relative path such as `ds:1/a.parquet` for a URI.
    return DiskOutput(output.absolute())


def _stamps(corpus: CorpusDescription) -> list[FileStamp | None]:
    """Size and time of each input file: a cheap sign that its content is still the same."""
    return [stamp_of(file) for item in corpus.inputs for file in item.files]


def _report_damage(damage: str) -> None:
    print(f"lingo: {damage}; the dataset is prepared anew", file=sys.stderr)


def _n_partitions(corpus: CorpusDescription) -> int:
    """As many partitions that each fits in memory, also if the files are compressed.

    It depends on the corpus only, so that the dataset is the same for any number of workers.
    """
    return min(_MAX_PARTITIONS, 1 + _n_bytes(corpus) // _BYTES_PER_PARTITION)


def _default_n_workers(corpus: CorpusDescription) -> int:
    """All cores, or 1 if the corpus is so small that starting processes would take longer."""
    return 1 if _n_bytes(corpus) < _BYTES_FOR_WORKERS else len(os.sched_getaffinity(0))


def _n_bytes(corpus: CorpusDescription) -> int:
    """An estimate of the size of a corpus's text."""
    return sum(
        file.stat().st_size * (_COMPRESSED_RATIO if is_compressed(file) else 1)
        for item in corpus.inputs
        for file in item.files
    )


def _write_dataset(
    job: Job,
    runner: TaskRunner,
    inputs: list[NamedInput],
    made_from: dict[str, Any],
    on_progress: OnProgress,
) -> DatasetManifest:
    """Write every file of a dataset, the manifest last."""
    pairs = _write_pairs(job, runner, inputs, on_progress)
    files = pairs.files
    pairs_files = {split: [job.dataset / file.name for file in files[split]] for split in SPLITS}
    subwords = _subwords(job, pairs_files["train"], on_progress)
    splits, pieces = _encode_splits(job, runner, files, subwords, on_progress)
    manifest = DatasetManifest(
        format_version=DatasetManifest.FORMAT_VERSION,
        fingerprint=fingerprint_of(made_from),
        made_from=made_from,
        source_lang=job.source_lang,
        target_lang=job.target_lang,
        subwords_sha256=subwords.fingerprint,
        vocab_size=subwords.vocab_size,
        inputs=tuple(pairs.counts),
        splits=splits,
        leakage=_certificate(job, runner, pairs_files, pairs),
        round_trips={split: item.round_trips() for split, item in pieces.items()},
        subword_statistics=subword_statistics(pieces),
        report=REPORT,
    )
    report = dataset_report(job, manifest, pairs.cleaned, pairs.written, pairs.rejected)
    _write_report(job.dataset, manifest, report)
    manifest = manifest.model_copy(update={"files_sha256": _digests(job.dataset, runner)})
    write_json(job.dataset / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _write_report(dataset: Path, manifest: DatasetManifest, report: DatasetReport) -> None:
    write_bytes(dataset / REPORT, json_bytes(report.model_dump(mode="json")))
    write_bytes(dataset / REPORT_PAGE, html_report(manifest, report).encode())


def _certificate(
    job: Job, runner: TaskRunner, pairs_files: dict[Split, list[Path]], pairs: _Pairs
) -> LeakageCertificate:
    held_out = (tuple(pairs_files["valid"]), tuple(pairs_files["test"]))
    tasks = [RecountTask(file, held_out) for file in pairs_files["train"]]
    recounted = runner.run("recount", recount_shared_sources, tasks)
    return leakage_certificate(
        pairs_files, pairs.counts, job.config.leaks, recounted, pairs.written
    )


def _digests(dataset: Path, runner: TaskRunner) -> dict[str, str]:
    """SHA-256 of every file of a dataset, by relative path."""
    names = sorted(name for name in names_below(dataset) if name != MANIFEST)
    results = runner.run("digest", _digest, [dataset / name for name in names])
    return {name: result["sha256"] for name, result in zip(names, results, strict=True)}


def _digest(file: Path) -> TaskResult:
    return {"sha256": sha256_of_file(file)}


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """What both passes found.

    Args:
        counts: the counts of each input, in the order of the corpus description.
        files: the PAIRS files.
        cleaned: the results of the tasks of the first pass.
        written: the results of the tasks of the second pass.
        rejected: examples of rejected rows.
    """

    counts: list[InputCounts]
    files: PairsFiles
    cleaned: list[TaskResult]
    written: list[TaskResult]
    rejected: RejectedSamples


def _write_pairs(
    job: Job, runner: TaskRunner, inputs: list[NamedInput], on_progress: OnProgress
) -> _Pairs:
    """Write PAIRS and REJECTED."""
    chunks = _chunks(job, runner, on_progress)
    n_to_split = sum(chunk.n_rows or 0 for chunk in chunks if chunk.named.item.split is None)
    items = [named.item for named in inputs]
    job = dataclasses.replace(job, split_rule=SplitRule.of(items, job.config.split, n_to_split))
    n_rows = [chunk.n_rows for chunk in chunks]
    total = None if None in n_rows else sum(n for n in n_rows if n is not None)
    with progress_bar("clean", total, on_progress=on_progress) as bar:
        cleaned = runner.run(
            "clean",
            clean_chunk,
            [CleaningTask(job, number, chunk) for number, chunk in enumerate(chunks)],
            on_result=lambda result: bar.advance(result["n_read"]),
        )
    _check_problems(job, cleaned)
    spills = tuple(name for result in cleaned for name in result["spills"])
    written = _write_partitions(job, runner, spills, on_progress)
    files: PairsFiles = {
        split: [
            PairsFile(**values) for result in written for values in result["files"].get(split, ())
        ]
        for split in SPLITS
    }
    counts = _input_counts(job, inputs, cleaned, written)
    if not files["train"]:
        raise InputError(_nothing_to_train_on(counts))
    names = [name for result in cleaned for name in result["rejected"]]
    names += [result["rejected"] for result in written if result["rejected"] is not None]
    return _Pairs(counts, files, cleaned, written, write_rejected(job, names))


def _chunks(job: Job, runner: TaskRunner, on_progress: OnProgress) -> list[Chunk]:
    """All rows of the corpus in chunks, in the order of reading.

    Large files that only one process can read are read first, so that all processes can clean their
    rows.
    """
    chunks = [
        chunk
        for rank, (named, part) in enumerate(job.parts)
        for chunk in chunks_of(named, part, rank)
    ]
    serial = [chunk for chunk in chunks if chunk.is_serial]
    if not serial:
        return chunks
    with progress_bar("read", None, on_progress=on_progress) as bar:
        results = runner.run(
            "read",
            read_chunk,
            [CleaningTask(job, number, chunk) for number, chunk in enumerate(serial)],
            on_result=lambda result: bar.advance(result["n_read"]),
        )
    stored = {
        chunk.rank: [
            dataclasses.replace(chunk, stored=job.work / name, n_rows=n_rows)
            for name, n_rows in result["files"]
        ]
        for chunk, result in zip(serial, results, strict=True)
    }
    return [item for chunk in chunks for item in stored.get(chunk.rank, [chunk])]


def _write_partitions(
    job: Job, runner: TaskRunner, spills: tuple[str, ...], on_progress: OnProgress
) -> list[TaskResult]:
    """Write PAIRS: the held-out splits, then the training pairs of each partition."""
    tasks = [PartitionTask(job, number, spills) for number in range(job.n_partitions + 1)]
    *training, held_out = tasks
    n_steps = len(tasks) + (2 * len(training) if job.has_distant_duplicates else 0)
    with progress_bar(
        "find duplicates", n_steps, unit="partitions", on_progress=on_progress
    ) as bar:

        def advance(_result: TaskResult) -> None:
            bar.advance()

        written = runner.run("held-out", write_held_out, [held_out], advance)
        repeats = runner.run("repeats", find_repeats, training, advance)
        written += repeats
        if job.has_distant_duplicates:
            keys = tuple(result["keys"] for result in repeats)
            key_tasks = [KeyTask(job, task.partition, keys) for task in training]
            found = runner.run("keys", find_repeated_places, key_tasks, advance)
            places = tuple(result["file"] for result in found)
            unrepeated = [
                UnrepeatedTask(job, task.partition, result["survivors"], places)
                for task, result in zip(training, repeats, strict=True)
            ]
            written += runner.run("unrepeated", write_unrepeated, unrepeated, advance)
    return written


def _check_problems(job: Job, cleaned: list[TaskResult]) -> None:
    """Refuse aligned text with so many unreadable rows that the whole file has another encoding.

    Raises:
        InputError: many rows of a file have one problem.
    """
    n_read: Counter[int] = Counter()
    n_problems: Counter[int] = Counter()
    for result in cleaned:
        n_read[result["rank"]] += result["n_read"]
        n_problems[result["rank"]] += result["n_problems"]
    for rank, n in n_problems.items():
        named, part = job.parts[rank]
        if part.part.path is None and are_too_many(n, n_read[rank]):
            deque(iter_pairs(named.item, part.part), maxlen=0)  # raises an error that says more


def _input_counts(
    job: Job, inputs: list[NamedInput], cleaned: list[TaskResult], written: list[TaskResult]
) -> list[InputCounts]:
    """The counts of each input. What stays is counted on the files that were written."""
    n_read: Counter[int] = Counter()
    n_kept: Counter[int] = Counter()
    n_rejected: dict[int, Counter[str]] = {named.number: Counter() for named in inputs}
    n_repaired: dict[int, Counter[str]] = {named.number: Counter() for named in inputs}
    for result in cleaned:
        number = job.parts[result["rank"]][0].number
        n_read[number] += result["n_read"]
        n_rejected[number].update(result["n_rejected"])
        n_repaired[number].update(result["n_repaired"])
    for result in written:
        for rank, reason, n in result["n_rejected"]:
            n_rejected[job.parts[rank][0].number][reason] += n
        for rank, n in result["n_kept"]:
            n_kept[job.parts[rank][0].number] += n
    for named in inputs:
        number = named.number
        if n_kept[number] + n_rejected[number].total() != n_read[number]:
            raise RuntimeError(
                f"{named.name}: {n_kept[number]} + {dict(n_rejected[number])} is not the "
                f"{n_read[number]} read"
            )
    return [
        InputCounts(
            name=named.name,
            split=named.item.split,
            n_read=n_read[named.number],
            n_kept=n_kept[named.number],
            n_rejected=dict(sorted(n_rejected[named.number].items())),
            n_repaired={name: n for name, n in sorted(n_repaired[named.number].items()) if n},
        )
        for named in inputs
    ]


def _nothing_to_train_on(counts: list[InputCounts]) -> str:
    n_rejected: Counter[str] = Counter()
    for item in counts:
        n_rejected.update(item.n_rejected)
    reasons = ", ".join(f"{n} as {reason}" for reason, n in sorted(n_rejected.items())) or "none"
    return (
        f"{', '.join(item.name for item in counts)}: no training pair in "
        f"{sum(item.n_read for item in counts)} rows (rejected: {reasons}); check the files and "
        "the limits in 'clean'; `lingo prepare CORPUS --advise` shows what each rule drops"
    )


def _subwords(job: Job, pairs_files: list[Path], on_progress: OnProgress) -> Subwords:
    """Train the subword model, or load that of a run which was interrupted later."""
    path = job.dataset / SUBWORDS
    if path.exists():
        return Subwords.load(path)
    with progress_bar("train subwords", None, unit="seconds", on_progress=on_progress) as bar:
        return train_subwords_in_child(
            pairs_files, path, job.config.subwords, seed=job.config.seed, bar=bar
        )


def _encode_splits(
    job: Job, runner: TaskRunner, files: PairsFiles, subwords: Subwords, on_progress: OnProgress
) -> tuple[dict[Split, SplitCounts], dict[Split, PieceCounts]]:
    """Write ENCODED of every split. Counts its rows in the files, and checks them."""
    splits: dict[Split, SplitCounts] = {}
    pieces: dict[Split, PieceCounts] = {}
    n_encoded = {split: sum(file.n_encoded for file in files[split]) for split in SPLITS}
    with progress_bar("encode", sum(n_encoded.values()), on_progress=on_progress) as bar:
        for split in SPLITS:
            tasks = encoding_tasks(job, split, files[split], job.dataset / SUBWORDS)
            results = runner.run(
                f"encode-{split}",
                encode_file,
                tasks,
                on_result=lambda result: bar.advance(result["n_encoded"]),
            )
            pieces[split] = PieceCounts(subwords.vocab_size)
            for result in results:
                pieces[split].add_json(result["counts"])
            n_read_back = sum(result["n_encoded"] for result in results)
            if n_read_back != n_encoded[split]:
                raise RuntimeError(f"{split}: {n_encoded[split]} rows, {n_read_back} are encoded")
            splits[split] = SplitCounts(
                n_pairs=sum(file.n_pairs for file in files[split]),
                n_encoded=n_read_back,
                n_source_tokens=sum(result["n_source_tokens"] for result in results),
                n_target_tokens=sum(result["n_target_tokens"] for result in results),
                pairs_files=tuple(file.name for file in files[split]),
                encoded_files=tuple(result["file"] for result in results),
            )
    return splits, pieces
