"""Make the models of the peers in benchmarks/decode.py, with the subwords of a bundle.

    python benchmarks/peers/make_models.py ../multi30k --plain models/plain \
        --attention models/dot --output models/peers

OpenNMT-py gets copies of the weights of the two bundles, so it gives the same translations. JoeyNMT
and Marian have other cells or another initial state of the decoder, and CTranslate2 has no LSTM.
These three are trained, two at a time with one thread each, and the Transformer for twice as many
minutes. That is long enough for them to end their sentences, but not to translate well.
`make bench-peers` installs the peers.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sentencepiece
import yaml

HERE = Path(__file__).resolve().parent
PEERS = HERE.parents[1] / ".peers"
N_VALID = 200
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path, help="Multi30k's folder")
    parser.add_argument("--plain", type=Path, required=True, help="bundle without attention")
    parser.add_argument("--attention", type=Path, required=True, help="bundle with dot attention")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training (default 20)")
    parser.add_argument(
        "--only", nargs="*", default=["opennmt", "transformer", "joeynmt", "marian"]
    )
    options = parser.parse_args()
    output = options.output.resolve()
    data = write_pieces(options.corpus, options.plain, output / "data")
    jobs: dict[str, Any] = {
        "opennmt": lambda: copy_to_opennmt(options, data, output),
        "transformer": lambda: train_transformer(data, output / "transformer", 2 * options.minutes),
        "joeynmt": lambda: train_joeynmt(data, output / "joeynmt", options.minutes),
        "marian": lambda: train_marian(data, output / "marian", options.minutes),
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, job in [(name, pool.submit(jobs[name])) for name in options.only or jobs]:
            job.result()
            print(f"{name}: done", flush=True)


def write_pieces(corpus: Path, bundle: Path, data: Path) -> Path:
    """Write training and validation text as pieces with spaces between them, and vocabularies.

    Returns:
        ``data``, the folder of the files.
    """
    data.mkdir(parents=True, exist_ok=True)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(bundle / "subwords.model"))
    for language, side in (("en", "src"), ("de", "tgt")):
        for split in ("train", "valid"):
            name = {"train": "train", "valid": "val"}[split]
            with gzip.open(corpus / f"{name}.{language}.gz", "rt", encoding="utf-8") as file:
                lines = file.read().splitlines()[: N_VALID if split == "valid" else None]
            encoded = pieces.encode(lines, out_type=str)
            text = "".join(" ".join(line) + "\n" for line in encoded)
            (data / f"{split}.{side}").write_text(text, encoding="utf-8")
    words = [pieces.id_to_piece(i) for i in range(4, pieces.get_piece_size())]
    (data / "vocab.txt").write_text("".join(f"{w}\n" for w in words), encoding="utf-8")
    numbered = {w: i for i, w in enumerate(["</s>", "<unk>", *words])}
    (data / "marian.yml").write_text(
        yaml.safe_dump(numbered, allow_unicode=True, sort_keys=False), encoding="utf-8"
    )
    return data


def run(
    peer: str, script: str, folder: Path, *arguments: object, minutes: float | None = None
) -> None:
    """Run a script in a peer's environment, with SIGTERM when its minutes are over.

    Args:
        peer: name of the environment.
        script: name of a script in this folder.
        folder: its first argument; the log is in ``FOLDER.log``.
        arguments: its other arguments.
        minutes: its time; None for no limit.
    """
    command = [PEERS / peer / "bin" / "python", HERE / script, folder, *arguments]
    log = Path(f"{folder}.log")
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | ONE_THREAD,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait(None if minutes is None else 60 * minutes)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait()
            return
    if code:
        raise SystemExit(f"{peer} ended with status {code}; see {log}")


# ---- OpenNMT-py ----------------------------------------------------------------------------------


def opennmt_config(data: Path, model: Path, **settings: Any) -> dict[str, Any]:
    """A training configuration: what all models share, and ``settings``."""
    return {
        "data": {
            "corpus_1": {"path_src": str(data / "train.src"), "path_tgt": str(data / "train.tgt")},
            "valid": {"path_src": str(data / "valid.src"), "path_tgt": str(data / "valid.tgt")},
        },
        "src_vocab": str(data / "vocab.txt"),
        "tgt_vocab": str(data / "vocab.txt"),
        "vocab_size_multiple": 1,
        "src_words_min_frequency": 0,
        "tgt_words_min_frequency": 0,
        "save_model": str(model),
        "batch_type": "tokens",
        "batch_size": 400,
        "bucket_size": 30_000,
        "num_workers": 0,
        "seed": 1,
        "report_every": 50,
    } | settings


def copy_to_opennmt(options: argparse.Namespace, data: Path, output: Path) -> None:
    """Train each architecture for one step, and replace the weights of the checkpoint."""
    for name, bundle in (("opennmt-plain", options.plain), ("opennmt", options.attention)):
        settings = json.loads((bundle / "bundle.json").read_text())["config"]
        config = opennmt_config(
            data,
            output / name / "untrained",
            train_steps=1,
            save_checkpoint_steps=1,
            valid_steps=1000,
            encoder_type="brnn" if settings["lstm_bidirectional"] else "rnn",
            decoder_type="rnn",
            rnn_type="LSTM",
            enc_layers=settings["lstm_num_layers"],
            dec_layers=settings["lstm_num_layers"],
            hidden_size=settings["lstm_hidden_dim"],
            word_vec_size=settings["lstm_emb_dim"],
            global_attention="dot" if settings["lstm_attention"] else "none",
            input_feed=0,
            optim="sgd",
            learning_rate=0.0,
        )
        folder = output / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        run("opennmt", "run_opennmt.py", folder, "train", folder / "config.yaml")
        run("opennmt", "run_opennmt.py", folder, "copy-weights", bundle.resolve())


def train_transformer(data: Path, folder: Path, minutes: float) -> None:
    """Six encoder and two decoder layers of width 512, for CTranslate2 in int8."""
    folder.mkdir(parents=True, exist_ok=True)
    config = opennmt_config(
        data,
        folder / "model",
        train_steps=100_000,
        save_checkpoint_steps=100,
        keep_checkpoint=1,
        valid_steps=100_000,
        encoder_type="transformer",
        decoder_type="transformer",
        self_attn_type="scaled-dot",
        position_encoding=True,
        enc_layers=6,
        dec_layers=2,
        heads=8,
        hidden_size=512,
        word_vec_size=512,
        transformer_ff=2048,
        dropout=[0.1],
        attention_dropout=[0.1],
        label_smoothing=0.1,
        normalization="tokens",
        param_init=0.0,
        param_init_glorot=True,
        optim="adam",
        adam_beta2=0.998,
        decay_method="noam",
        warmup_steps=400,
        learning_rate=0.5,
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run("opennmt", "run_opennmt.py", folder, "train", folder / "config.yaml", minutes=minutes)
    run("opennmt", "run_opennmt.py", folder, "to-ctranslate2")


# ---- JoeyNMT -------------------------------------------------------------------------------------


def train_joeynmt(data: Path, folder: Path, minutes: float) -> None:
    """Bidirectional LSTM encoder of 2 x 256, decoder of 512, Luong attention, no input feeding."""
    folder.mkdir(parents=True, exist_ok=True)
    side = {"level": "word", "voc_file": str(data / "vocab.txt"), "max_length": 100}
    embeddings = {"embedding_dim": 256, "scale": False}
    recurrent = {
        "type": "recurrent",
        "rnn_type": "lstm",
        "embeddings": embeddings,
        "num_layers": 2,
        "dropout": 0.1,
    }
    config = {
        "name": "multi30k",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(data / "train"),
            "dev": str(data / "valid"),
            "dataset_type": "plain",
            "src": {"lang": "src", **side},
            "trg": {"lang": "tgt", **side},
        },
        "training": {
            "optimizer": "adamw",
            "learning_rate": 0.001,
            "clip_grad_norm": 1.0,
            "normalization": "tokens",
            "batch_type": "token",
            "batch_size": 400,
            "scheduling": "warmupinversesquareroot",
            "learning_rate_warmup": 500,
            "epochs": 100,
            "validation_freq": 200,
            "logging_freq": 50,
            "early_stopping_metric": "loss",
            "keep_best_ckpts": 1,
            "overwrite": True,
        },
        "testing": {"beam_size": 1, "batch_size": 64, "max_output_length": 60},
        "model": {
            "initializer": "xavier_uniform",
            "encoder": {**recurrent, "hidden_size": 256, "bidirectional": True},
            "decoder": {
                **recurrent,
                "hidden_size": 512,
                "hidden_dropout": 0.1,
                "input_feeding": False,
                "init_hidden": "bridge",
                "attention": "luong",
            },
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run("joeynmt", "run_joeynmt.py", folder, minutes=minutes)


# ---- Marian --------------------------------------------------------------------------------------


def train_marian(data: Path, folder: Path, minutes: float) -> None:
    """Marian's s2s with LSTM cells.

    Each direction of its encoder has 512 units, and its decoder has one cell more, so it does more
    work than this project's models.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "type": "s2s",
        "model": folder / "model.npz",
        "train-sets": [data / "train.src", data / "train.tgt"],
        "vocabs": [data / "marian.yml"] * 2,
        "dim-vocabs": [0, 0],
        "dim-emb": 256,
        "dim-rnn": 512,
        "enc-type": "bidirectional",
        "enc-depth": 2,
        "dec-depth": 2,
        "enc-cell": "lstm",
        "dec-cell": "lstm",
        "cpu-threads": 1,
        "workspace": 2000,
        "mini-batch": 24,
        "maxi-batch": 100,
        "max-length": 100,
        "optimizer": "adam",
        "learn-rate": 0.001,
        "clip-norm": 1,
        "cost-type": "ce-mean-words",
        "after-epochs": 100,
        "disp-freq": 50,
        "save-freq": 10_000,
        "seed": 1,
    }
    arguments = [[f"--{name}", *_strings(value)] for name, value in settings.items()]
    flat = list(itertools.chain.from_iterable(arguments))
    run("marian", "run_marian.py", folder, "train", *flat, minutes=minutes)


def _strings(value: Any) -> Iterator[str]:
    yield from map(str, value if isinstance(value, list) else [value])


if __name__ == "__main__":
    main()
