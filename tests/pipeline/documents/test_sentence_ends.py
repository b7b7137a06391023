"""Ends of sentences, also in lines of any length."""

from __future__ import annotations

import random
import time

import pytest

from pipeline.documents import sentence_ends as module
from pipeline.documents.sentence_ends import sentence_ends

SENTENCES = {
    "en": ["The dog plays. ", "Mr. Smith paid 3.5 $, e.g. here. ", 'He said "Go. Now." once. ',
           "(It is so. Really.) ", "No end ", "Who? ", "It's the U.S. trade. "],
    "de": ["Er kam am 3. Mai. ", "Wer? ", "„Geh. Jetzt.“ sagte er. ", "Das ist z. B. gut. "],
    "zh": ["狗在玩。", "他说：“走吧。”然后走了。", "谁？", "没有"],
    "th": ["สวัสดีครับ ", "แมวนอน "],
}  # fmt: skip


@pytest.mark.parametrize("language", SENTENCES)
def test_a_long_line_is_cut_where_it_would_be_cut_as_a_whole(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        draw = random.Random(seed)
        line = "".join(draw.choice(SENTENCES[language]) for _ in range(2000))
        through_window = sentence_ends(line, language)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_MAX_LINE", len(line))
            assert len(line) > 9000 and sentence_ends(line, language) == through_window


@pytest.mark.parametrize(
    ("unit", "language"),
    [("中。", "zh"), ("犬が寝る。", "ja"), ("แมวนอน ", "th"), ("<!-", "en"), ("中", "zh")],
)
def test_long_lines_take_linear_time(unit: str, language: str) -> None:
    def seconds(n_characters: int) -> float:
        line = unit * (n_characters // len(unit))
        started = time.process_time()
        assert sentence_ends(line, language)[-1] == len(line)
        return time.process_time() - started

    # Linear time is 8 times as long, quadratic time 64 times. Short times vary, hence the sum.
    assert seconds(400_000) < 20 * seconds(50_000) + 1


def test_a_sentence_that_is_longer_than_the_window_is_not_cut() -> None:
    long = "word " * 5000
    assert sentence_ends(f"{long}end. Next one.", "en") == [len(long) + 5, len(long) + 14]
