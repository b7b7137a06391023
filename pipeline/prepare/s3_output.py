"""A dataset on S3: it is written on this machine, and then uploaded, the manifest last.

Reads: the names below the output folder on S3.
Writes: the dataset. While it is uploaded, an object ``.staging`` says so; and a folder of this
machine, which is removed at the end.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lingo_model import InputError
from lingo_model.atomic_files import LocksUnsupportedError, reserved
from pipeline.dataset.manifest import MANIFEST, DatasetManifest
from pipeline.errors import RunError
from pipeline.observability.progress import OnProgress, progress_bar
from pipeline.prepare.output_folder import (
    DATASET_NAMES,
    Staging,
    check_names,
    remove_staging_folder,
    staging_folder,
)
from pipeline.prepare.reuse import usable_dataset
from pipeline.prepare.tasks import TaskResult, TaskRunner
from pipeline.storage.files import json_bytes, names_below
from pipeline.storage.s3 import S3Path

_CLAIM = ".staging"
_MAX_ATTEMPTS = 3


class S3Output:
    """A dataset to write to S3.

    S3 has no locks. A process that uploads puts an object, ``.staging``, with a digest of what it
    uploads. It puts it only if there is none. So only one content is uploaded at a time. Two
    processes that upload the same content do no harm. The manifest is put last, only if there is
    none. So a reader sees a whole dataset or none.

    Args:
        output: the folder of the dataset.
        folder: the folder of this machine where the dataset is written first.
        on_progress: called with the number of files that are uploaded.
    """

    def __init__(self, output: S3Path, folder: Path, on_progress: OnProgress) -> None:
        self._output = output
        self._folder = folder
        self._on_progress = on_progress
        self._is_damaged = False

    def check(self) -> None:
        """Check that a dataset can be written.

        Raises:
            InputError: there are other files, or the output is a file.
            OSError: S3 refuses or does not answer.
        """
        if self._output.is_file():
            raise InputError(
                f"{self._output}: is a file; name a new or an empty folder for the dataset"
            )
        names = {name.partition("/")[0] for name in names_below(self._output)}
        check_names(self._output, names - {_CLAIM}, is_interrupted=_CLAIM in names)

    def usable(
        self, made_from: dict[str, Any], on_damage: Callable[[str], object]
    ) -> DatasetManifest | None:
        """See :func:`pipeline.prepare.reuse.usable_dataset`. The files are read to check them."""

        def note_damage(damage: str) -> None:
            self._is_damaged = True
            on_damage(damage)

        manifest = usable_dataset(self._output, made_from, on_damage=note_damage)
        if manifest is not None:
            self._remove_remains()
        return manifest

    def _remove_remains(self) -> None:
        """Remove what a run left that was killed after it had put the manifest."""
        if self._folder.exists():
            with contextlib.suppress(InputError), reserved(self._folder):
                remove_staging_folder(self._folder)
        with contextlib.suppress(OSError):  # whoever may only read can use the dataset
            if (self._output / _CLAIM).is_file():
                (self._output / _CLAIM).unlink()

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other processes of this machine from writing the same dataset during the block.

        Raises:
            InputError: another process writes it.
        """
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            # A file system without locks can be used; then two processes are not kept apart.
            with contextlib.suppress(LocksUnsupportedError):
                stack.enter_context(reserved(self._folder))
            yield

    @contextmanager
    def staged(self, fingerprint: str) -> Iterator[Staging]:
        """Yield a staging folder. If the block succeeds, its dataset is uploaded.

        Args:
            fingerprint: see :func:`pipeline.prepare.output_folder.staging_folder`.

        Raises:
            RunError: another dataset is uploaded to the same folder.
            OSError: S3 refuses or does not answer.
        """
        if self._claimed_fingerprint() not in (None, fingerprint):
            raise self._other_claim()
        with staging_folder(self._folder, fingerprint) as folders:
            yield folders
        self._publish(folders, fingerprint)
        remove_staging_folder(self._folder)

    def _publish(self, folders: Staging, fingerprint: str) -> None:
        content = (folders.dataset / MANIFEST).read_bytes()
        claim = {
            "fingerprint": fingerprint,
            "manifest_sha256": hashlib.sha256(content).hexdigest(),
        }
        if not (self._output / _CLAIM).create(json_bytes(claim)):
            raise self._other_claim()
        if self._is_damaged:
            (self._output / MANIFEST).unlink(missing_ok=True)
        if self._is_there(fingerprint):
            print(
                f"lingo: {self._output}: another process wrote the same dataset meanwhile",
                file=sys.stderr,
            )
        else:
            self._upload(folders)
            if not (self._output / MANIFEST).create(content) and not self._is_there(fingerprint):
                raise self._other_claim()
        (self._output / _CLAIM).unlink(missing_ok=True)

    def _is_there(self, fingerprint: str) -> bool:
        """Whether another process has written the dataset meanwhile.

        Raises:
            RunError: another process has written another dataset.
        """
        if not (self._output / MANIFEST).is_file():
            return False
        if DatasetManifest.load(self._output / MANIFEST).fingerprint == fingerprint:
            return True
        (self._output / _CLAIM).unlink(missing_ok=True)
        raise RunError(
            f"{self._output}: another process wrote another dataset there meanwhile; name another "
            "output, or remove that dataset",
            retryable=False,
        )

    def _upload(self, folders: Staging) -> None:
        """Upload every file but the manifest, and remove files that do not belong to the dataset.

        Raises:
            RunError: files are not there after they were uploaded.
        """
        names = sorted(name for name in names_below(folders.dataset) if name != MANIFEST)
        runner = TaskRunner(folders.results, None, 1)

        def upload(name: str) -> TaskResult:
            return {"etag": (self._output / name).upload(folders.dataset / name)}

        for attempt in range(_MAX_ATTEMPTS):
            with progress_bar(
                "upload", len(names), unit="files", on_progress=self._on_progress
            ) as bar:
                # An interrupted upload goes on with the results of the first attempt.
                results = runner.run(f"upload-{attempt}", upload, names, lambda _: bar.advance())
            expected = {name: result["etag"] for name, result in zip(names, results, strict=True)}
            found = {name: stamp.etag for name, stamp in self._output.files().items()}
            for name in found.keys() - expected.keys() - {MANIFEST, _CLAIM}:
                if name.partition("/")[0] in DATASET_NAMES:  # of a damaged or interrupted dataset
                    (self._output / name).unlink(missing_ok=True)
            if expected.items() <= found.items():
                return
        missing = sorted(name for name, etag in expected.items() if found.get(name) != etag)
        raise RunError(
            f"{self._output / missing[0]}: was removed or replaced while the dataset was uploaded; "
            "find out who else writes there, and start the command again"
        )

    def _claimed_fingerprint(self) -> str | None:
        """The fingerprint of the dataset that is uploaded; empty if unknown, None if none is."""
        try:
            claim = json.loads((self._output / _CLAIM).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return ""
        return str(claim.get("fingerprint", "")) if isinstance(claim, dict) else ""

    def _other_claim(self) -> RunError:
        claim = self._output / _CLAIM
        stamp = claim.stamp()
        since = "" if stamp is None else f" since {_utc(stamp.modified_ns)}"
        return RunError(
            f"{self._output}: another process uploads another dataset there{since}, or was killed "
            "while it did; wait for it, or remove the folder and start the command again",
            retryable=False,
        )


def _utc(time_ns: int) -> str:
    return f"{datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC):%Y-%m-%d %H:%M} UTC"
