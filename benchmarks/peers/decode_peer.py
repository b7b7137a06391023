"""Other systems as contestants of benchmarks/decode.py, each in its own environment.

    python decode_peer.py opennmt|joeynmt|marian|ctranslate2 MODEL SUBWORDS TEXTS OUTPUT BATCH_SIZE

Translates the lines of TEXTS by greedy search with one thread, and computes log probabilities. As
in this project's contestants, SentencePiece encodes and decodes all lines in one call. `unk` is
blocked if the peer can do that. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Pieces = list[list[str]]
Translate = Callable[[Pieces], Pieces]
MAX_TOKENS = 60


def main() -> None:
    peer, model, subwords, texts, output, batch_size = sys.argv[1:]
    stdout = os.dup(1)
    os.dup2(2, 1)  # peers log to stdout, which must have the JSON alone
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=subwords)
    decode = PEERS[peer](Path(model), int(batch_size))

    def translate(lines: list[str]) -> tuple[list[str], int]:
        pieces = decode(processor.encode(lines, out_type=str))
        return processor.decode(pieces), sum(len(line) + 1 for line in pieces)

    lines = Path(texts).read_text(encoding="utf-8").splitlines()
    translate(lines[:64])
    started = time.perf_counter()
    translations, n_tokens = translate(lines)
    seconds = time.perf_counter() - started
    Path(output).write_text("\n".join(translations) + "\n", encoding="utf-8")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"seconds": seconds, "peak_mb": peak_mb, "n_target_tokens": n_tokens}
    os.write(stdout, (json.dumps(result) + "\n").encode())


# Each function loads a peer's model and returns a function from source to target pieces.


def opennmt(model: Path, batch_size: int) -> Translate:
    import run_opennmt
    import torch

    run_opennmt.trust_own_checkpoints()
    torch.set_num_threads(1)
    from onmt.inference_engine import InferenceEnginePY
    from onmt.opts import translate_opts
    from onmt.utils.parse import ArgumentParser

    parser = ArgumentParser()
    translate_opts(parser)
    options = parser.parse_args(
        f"-model {model / 'model.pt'} -src unused -beam_size 1 -batch_size {batch_size} "
        f"-batch_type sents -max_length {MAX_TOKENS} -ban_unk_token -output {os.devnull}".split()
    )
    ArgumentParser._get_all_transform_translate(options)
    ArgumentParser.validate_translate_opts(options)
    engine = InferenceEnginePY(options)

    def translate(lines: Pieces) -> Pieces:
        # The copied weights expect the end of the sentence in the source.
        _, n_best = engine.infer_list([" ".join([*line, "</s>"]) for line in lines])
        return [hypotheses[0].split() for hypotheses in n_best]

    return translate


def joeynmt(model: Path, batch_size: int) -> Translate:
    import torch
    from joeynmt.batch import Batch
    from joeynmt.config import load_config, parse_global_args
    from joeynmt.prediction import prepare
    from joeynmt.search import search

    torch.set_num_threads(1)
    config = load_config(model / "config.yaml")
    arguments = parse_global_args(config, rank=0, mode="translate")
    network, *_ = prepare(arguments, rank=0, mode="translate")
    network.eval()
    source, target, device = network.src_vocab, network.trg_vocab, torch.device("cpu")

    def translate(lines: Pieces) -> Pieces:
        translations: Pieces = [[] for _ in lines]
        order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            ids, lengths, _ = source.sentences_to_ids(
                [lines[i] for i in numbers], bos=False, eos=True
            )
            batch = Batch(
                torch.tensor(ids).long(),
                torch.tensor(lengths).long(),
                None,
                None,
                None,
                torch.tensor(numbers),
                device,
                network.pad_index,
                network.eos_index,
                is_train=False,
            )
            output, _, _ = search(
                network, batch, MAX_TOKENS, 1, 0.0, return_prob="hyp", generate_unk=False
            )
            for i, line in zip(numbers, target.arrays_to_sentences(output), strict=True):
                translations[i] = line[:-1] if line and line[-1] == "</s>" else line
        return translations

    return translate


def marian(model: Path, batch_size: int) -> Translate:
    from pymarian import Translator

    vocabulary = model.parent / "data" / "marian.yml"
    # The model is packed when it is loaded. A file that marian-conv packed gives wrong translations
    # with LSTM cells.
    translator = Translator(
        f"--models {model / 'model.npz'} --gemm-type packed8 --vocabs {vocabulary} {vocabulary} "
        f"--beam-size 1 --mini-batch {batch_size} --maxi-batch 100 --maxi-batch-sort src "
        "--cpu-threads 1 --quiet"
    )

    def translate(lines: Pieces) -> Pieces:
        return [line.split() for line in translator.translate([" ".join(line) for line in lines])]

    return translate


def ctranslate2(model: Path, batch_size: int) -> Translate:
    from ctranslate2 import Translator

    translator = Translator(
        str(model / "ct2"), device="cpu", compute_type="int8", inter_threads=1, intra_threads=1
    )

    def translate(lines: Pieces) -> Pieces:
        results: Any = translator.translate_batch(
            lines,
            beam_size=1,
            max_batch_size=batch_size,
            max_decoding_length=MAX_TOKENS,
            return_scores=True,
            disable_unk=True,
        )
        return [result.hypotheses[0] for result in results]

    return translate


PEERS = {"opennmt": opennmt, "joeynmt": joeynmt, "marian": marian, "ctranslate2": ctranslate2}

if __name__ == "__main__":
    main()
