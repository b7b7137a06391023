"""sacreBLEU's metrics, tokenised for the target language."""

from __future__ import annotations

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.ter import TER

from pipeline.languages import primary_language

# Written without spaces between words; Korean is with them, but its endings stick to the words.
_BY_CHARACTER = frozenset({"ja", "ko", "th", "lo", "km", "my", "yue"})


def bleu_metric(target_lang: str) -> BLEU:
    """BLEU (Papineni et al. 2002) as sacreBLEU (Post 2018) counts it for a language.

    Words are cut by 13a, Chinese by its own rules, and what is written without spaces by character:
    by 13a a sentence of it would be one word. Its signature tells which.
    """
    language = primary_language(target_lang)
    if language in _BY_CHARACTER:
        return BLEU(tokenize="char")
    return BLEU(tokenize="zh" if language == "zh" else "13a")


def ter_metric(target_lang: str) -> TER | None:
    """TER (Snover et al. 2006) by sacreBLEU; Chinese and Japanese by character. None for languages
    whose words it cannot tell apart: it would count whole sentences as wrong."""
    language = primary_language(target_lang)
    if language in ("zh", "ja", "yue"):
        return TER(normalized=True, asian_support=True)
    return None if language in _BY_CHARACTER else TER()
