"""BLEU, chrF and TER as sacreBLEU computes them, tokenised for the target language.

Training selects its best step with the same BLEU. Translations and references are compared in
Unicode NFC: sacreBLEU takes the two forms of an accented letter for different letters.
"""

from __future__ import annotations

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from lingo_model.unicode_text import nfc
from pipeline.evaluate.scores import Score
from pipeline.languages import primary_language

# These languages put no spaces between words. Korean does, but its endings attach to the words.
_CHARACTER_TOKENISED = frozenset({"ja", "ko", "th", "lo", "km", "my", "yue"})


def bleu_metric(target_lang: str) -> BLEU:
    """BLEU (Papineni et al. 2002) as sacreBLEU (Post 2018) computes it for a language.

    The tokeniser is ``zh`` for Chinese, ``char`` for the other languages without spaces between
    words, and ``13a`` for the rest. With ``13a`` a whole Japanese sentence would be one word. The
    signature of a score names the tokeniser.
    """
    language = primary_language(target_lang)
    if language in _CHARACTER_TOKENISED:
        return BLEU(tokenize="char")
    return BLEU(tokenize="zh" if language == "zh" else "13a")


def ter_metric(target_lang: str) -> TER | None:
    """TER (Snover et al. 2006) as sacreBLEU computes it for a language.

    Chinese, Japanese and Cantonese are split into characters.

    Returns:
        the metric, or None for Korean, Thai, Lao, Khmer and Burmese. sacreBLEU does not split
        these into words, so TER would count whole sentences as wrong.
    """
    language = primary_language(target_lang)
    if language in ("zh", "ja", "yue"):
        return TER(normalized=True, asian_support=True)
    return None if language in _CHARACTER_TOKENISED else TER()


def corpus_scores(translations: list[str], references: list[str], target_lang: str) -> list[Score]:
    """BLEU, chrF (Popović 2015) and TER of a corpus with one reference per sentence.

    TER is left out for the languages of which :func:`ter_metric` returns None.

    Raises:
        ValueError: the lists differ in length. sacreBLEU would score them regardless.
    """
    if len(translations) != len(references):
        raise ValueError(f"{len(translations)} translations but {len(references)} references")
    translations, references = list(map(nfc, translations)), list(map(nfc, references))
    scores = []
    for metric in (bleu_metric(target_lang), CHRF(), ter_metric(target_lang)):
        if metric is None:
            continue
        result = metric.corpus_score(translations, [references])
        scores.append(
            Score(metric=result.name, score=result.score, signature=str(metric.get_signature()))
        )
    return scores


def sentence_chrf(translations: list[str], references: list[str]) -> list[float]:
    """The chrF of each sentence, 0 to 100.

    Raises:
        ValueError: the lists differ in length.
    """
    metric = CHRF()
    return [
        metric.sentence_score(nfc(translation), [nfc(reference)]).score
        for translation, reference in zip(translations, references, strict=True)
    ]
