"""The bundle: round trips, refusals, atomic writes, and the id of the model."""

import dataclasses
import errno
import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest
import torch

from lingo_model import (
    Bundle,
    BundleManifest,
    InputError,
    ModelConfig,
    SimpleSeq2SeqLSTM,
    Subwords,
    Translator,
    bundle_manifest,
    load_bundle,
    read_bundle_manifest,
    save_bundle,
)

FILES = {"bundle.json", "subwords.model", "training.json", "weights.safetensors"}
TEXTS = ["the cat sees a house .", "", "el perro", "<ph1> is big", "we eats bread and bread"]


def save(
    folder: Path,
    model: SimpleSeq2SeqLSTM,
    subwords: Subwords,
    training: dict[str, Any] | None = None,
) -> BundleManifest:
    return save_bundle(
        folder,
        model,
        subwords,
        source_lang="en",
        target_lang="es",
        dataset_fingerprint="d" * 64,
        recipe_fingerprint="r" * 64,
        training=training if training is not None else {},
    )


def edit_manifest(folder: Path, **changes: Any) -> None:
    file = folder / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refusal_of(folder: Path) -> str:
    with pytest.raises(InputError) as refusal:
        load_bundle(folder)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# Round trips.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "dropout": 0.4, "attention": True},
        {"attention": True, "attn_type": "additive", "bidirectional": True},
    ],
    ids=["plain", "dot", "additive-bidirectional"],
)
def test_loaded_model_translates_like_the_saved_one(
    options: dict[str, Any], subwords: Subwords, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    size = subwords.vocab_size
    model = SimpleSeq2SeqLSTM(size, size, emb_dim=8, hidden_dim=8, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-2.0, 2.0)
    manifest = save(tmp_path / "bundle", model.train(), subwords)
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.manifest == manifest
    assert loaded.model.config == model.config
    assert not loaded.model.training
    before = Translator(Bundle(model.eval(), subwords, manifest)).translate(TEXTS)
    assert Translator(loaded).translate(TEXTS) == before
    assert len({translation.text for translation in before}) > 2


def test_manifest_describes_the_saved_model(bundle_folder: Path, subwords: Subwords) -> None:
    manifest = read_bundle_manifest(bundle_folder)
    assert (manifest.format_version, manifest.architecture) == (1, "SimpleSeq2SeqLSTM")
    assert (manifest.source_lang, manifest.target_lang) == ("en", "es")
    assert manifest.src_vocab_size == manifest.tgt_vocab_size == subwords.vocab_size
    assert ModelConfig.from_dict(manifest.config).lstm_hidden_dim == 8
    assert manifest.subwords_sha256 == subwords.fingerprint
    assert manifest.dataset_fingerprint == "d" * 64
    assert manifest.recipe_fingerprint == "r" * 64


def test_folder_holds_four_files_and_no_pickle(bundle_folder: Path) -> None:
    assert {file.name for file in bundle_folder.iterdir()} == FILES
    for file in bundle_folder.iterdir():
        # Files of torch.save begin with the mark of a zip file, pickles with a protocol mark.
        assert not file.read_bytes().startswith((b"PK\x03\x04", b"\x80"))
    assert json.loads((bundle_folder / "training.json").read_text()) == {"steps": 7}


# Atomic writes.


def test_parent_folders_are_created(
    model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    save(tmp_path / "models" / "en-es", model, subwords)
    assert {file.name for file in (tmp_path / "models" / "en-es").iterdir()} == FILES
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["en-es"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_existing_output_is_refused_by_name_and_kept(
    kind: str, model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    if kind == "folder":
        output.mkdir()
    else:
        output.write_text("old content")
    with pytest.raises(InputError, match=f"{re.escape(str(output))}: already exists"):
        save(output, model, subwords)
    assert list(tmp_path.iterdir()) == [output]
    assert list(output.iterdir()) == [] if kind == "folder" else output.read_text() == "old content"


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.rename"])
def test_failed_save_leaves_nothing_behind(
    step: str,
    model: SimpleSeq2SeqLSTM,
    subwords: Subwords,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "bundle", model, subwords)
    assert list(tmp_path.iterdir()) == []


def test_training_that_is_not_json_leaves_nothing_behind(
    model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    with pytest.raises(TypeError):
        save(tmp_path / "bundle", model, subwords, training={"loss": torch.tensor(1.0)})
    assert list(tmp_path.iterdir()) == []


def test_staging_folder_of_a_killed_save_is_removed(
    model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    abandoned = tmp_path / ".bundle.abc.tmp"
    abandoned.mkdir()
    (abandoned / ".lock").touch()
    save(tmp_path / "bundle", model, subwords)
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]


# Refusals.


def test_every_key_of_the_manifest_has_a_type() -> None:
    annotations = typing.get_type_hints(BundleManifest)
    types = {name: typing.get_origin(hint) or hint for name, hint in annotations.items()}
    assert types == bundle_manifest._TYPE_OF_KEY


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_unknown_format_version_is_refused(bundle_folder: Path, version: object) -> None:
    edit_manifest(bundle_folder, format_version=version)
    message = refusal_of(bundle_folder)
    assert f"format_version={version!r}" in message
    assert str(bundle_folder / "bundle.json") in message


def test_unknown_key_is_refused_by_name(bundle_folder: Path) -> None:
    edit_manifest(bundle_folder, beam_size=4)
    assert "unknown key 'beam_size'" in refusal_of(bundle_folder)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(BundleManifest)])
def test_missing_key_is_refused_by_name(bundle_folder: Path, key: str) -> None:
    file = bundle_folder / "bundle.json"
    values = json.loads(file.read_text())
    del values[key]
    file.write_text(json.dumps(values))
    message = refusal_of(bundle_folder)
    assert key in message
    assert str(file) in message


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(BundleManifest)])
def test_value_of_another_type_is_refused_by_name(bundle_folder: Path, key: str) -> None:
    edit_manifest(bundle_folder, **{key: [1]})
    message = refusal_of(bundle_folder)
    assert f"{key}=[1]" in message
    assert str(bundle_folder / "bundle.json") in message


def test_unknown_key_of_the_config_is_refused_by_name(bundle_folder: Path) -> None:
    config = read_bundle_manifest(bundle_folder).config
    edit_manifest(bundle_folder, config=config | {"lstm_heads": 8})
    assert "'lstm_heads'" in refusal_of(bundle_folder)


def test_unknown_architecture_is_refused_by_name(bundle_folder: Path) -> None:
    edit_manifest(bundle_folder, architecture="Transformer")
    assert "architecture='Transformer'" in refusal_of(bundle_folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]"], ids=repr)
def test_manifest_that_is_not_a_json_object_is_refused(bundle_folder: Path, content: bytes) -> None:
    (bundle_folder / "bundle.json").write_bytes(content)
    assert str(bundle_folder / "bundle.json") in refusal_of(bundle_folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "subwords.model"])
@pytest.mark.parametrize("index", [0, -1])
def test_one_changed_byte_is_refused_by_fingerprint(
    bundle_folder: Path, name: str, index: int
) -> None:
    content = bytearray((bundle_folder / name).read_bytes())
    content[index] ^= 1
    (bundle_folder / name).write_bytes(content)
    message = refusal_of(bundle_folder)
    assert str(bundle_folder / name) in message
    assert "fingerprint" in message


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors", "subwords.model"])
def test_missing_file_is_refused_by_name(bundle_folder: Path, name: str) -> None:
    (bundle_folder / name).unlink()
    message = refusal_of(bundle_folder)
    assert name in message
    assert str(bundle_folder) in message


def test_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'}: not a model bundle" in refusal_of(tmp_path / "nowhere")


@pytest.mark.parametrize("change", [{"src_vocab_size": 99}, {"tgt_vocab_size": 99}], ids=str)
def test_weights_that_do_not_fit_are_refused(bundle_folder: Path, change: dict[str, int]) -> None:
    edit_manifest(bundle_folder, **change)
    message = refusal_of(bundle_folder)
    assert f"{bundle_folder}: weights do not fit the architecture" in message


# The id of the model.


def test_model_id_is_sixteen_hexadecimal_digits(bundle: Bundle) -> None:
    assert re.fullmatch("[0-9a-f]{16}", bundle.manifest.model_id)


def test_model_id_changes_with_the_weights(
    bundle_folder: Path, model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    with torch.no_grad():
        model.output.bias[7] += 1e-6
    changed = save(tmp_path / "changed", model, subwords)
    assert changed.model_id != read_bundle_manifest(bundle_folder).model_id


def test_model_id_changes_with_the_subwords(
    bundle_folder: Path, model: SimpleSeq2SeqLSTM, sentences: list[str], tmp_path: Path
) -> None:
    others = Subwords.train(sentences[:300], vocab_size=64)
    changed = save(tmp_path / "changed", model, others)
    assert changed.model_id != read_bundle_manifest(bundle_folder).model_id


def test_model_id_changes_with_a_setting_that_does_not_change_the_weights(
    bundle_folder: Path, model: SimpleSeq2SeqLSTM
) -> None:
    manifest = read_bundle_manifest(bundle_folder)
    config = dataclasses.replace(model.config, sos_idx=4).to_dict()
    assert dataclasses.replace(manifest, config=config).model_id != manifest.model_id


def test_model_id_does_not_change_with_the_training_record(
    bundle_folder: Path, model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    again = save(tmp_path / "again", model, subwords, training={"steps": 8, "host": "other"})
    records = [(f / "training.json").read_bytes() for f in (bundle_folder, tmp_path / "again")]
    assert records[0] != records[1]
    assert again.model_id == read_bundle_manifest(bundle_folder).model_id


def test_same_model_gives_the_same_bytes(
    bundle_folder: Path, model: SimpleSeq2SeqLSTM, subwords: Subwords, tmp_path: Path
) -> None:
    save(tmp_path / "again", model, subwords, training={"steps": 7})
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (bundle_folder / name).read_bytes()
