"""Names of languages as BCP 47 tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.filters.models import fasttext_model
from corpusmill.filters.models.language_tags import bcp47, covers, same_language


@pytest.mark.parametrize(
    ("label", "tag"),
    [
        ("en", "en"), ("EN", "en"), ("eng", "en"), ("eng_Latn", "en"), ("eng_latn", "en"), ("en-us", "en-US"),
        ("zh", "zh"), ("cmn_Hani", "zh"), ("zho_Hans", "zh-Hans"), ("zho_Hant", "zh-Hant"), ("yue_Hant", "yue-Hant"),
        ("yue_Hani", "yue"), ("chi", "zh"), ("jpn_Jpan", "ja"), ("jpn_Latn", "ja-Latn"), ("kor_Hang", "ko"),
        ("kor_Kore", "ko"), ("srp_Cyrl", "sr-Cyrl"), ("srp_Latn", "sr-Latn"), ("sh", "sr-Latn"),
        ("hbs_Cyrl", "sr-Cyrl"),
        ("als", "gsw"), ("als_Latn", "sq"), ("aln_Latn", "aln-Latn"), ("gsw_Latn", "gsw"), ("arz", "arz"),
        ("arz_Arab", "arz-Arab"), ("arb_Arab", "ar"), ("ar", "ar"), ("fas_Arab", "fa"), ("pes_Arab", "fa"),
        ("swh_Latn", "sw"), ("zsm_Latn", "ms"), ("ekk_Latn", "et"), ("lvs_Latn", "lv"), ("azj_Latn", "az-Latn"),
        ("uzn_Cyrl", "uz-Cyrl"), ("khk_Cyrl", "mn-Cyrl"), ("npi_Deva", "ne"), ("ory_Orya", "or"), ("ydd_Hebr", "yi"),
        ("pbt_Arab", "ps"), ("nob_Latn", "nb"), ("nno_Latn", "nn"), ("no", "no"), ("nor", "no"), ("fil_Latn", "fil"),
        ("tgl_Latn", "fil"), ("tl", "fil"), ("iw", "he"), ("heb_Hebr", "he"), ("in", "id"), ("ji", "yi"), ("jw", "jv"),
        ("mo", "ro"), ("bh", "bho"), ("ger", "de"), ("fre", "fr"), ("per", "fa"), ("ceb_Latn", "ceb-Latn"),
        ("und", "und"), ("und_Latn", "und"), ("zxx", "zxx"), ("pt_BR", "pt-BR"), ("es-419", "es-419"),
        ("ZH_hant_hk", "zh-Hant-HK"), ("de-CH-1996", "de-CH-1996"), ("sl-Rozaj", "sl-rozaj"), (" fr ", "fr"),
        ("english", "english"), ("positive", "positive"), ("", ""), ("e", "e"), ("__", "__"), ("c++", "c++"),
        ("zh-min-nan", "zh-min-nan"), ("de_DE.UTF-8", "de_DE.UTF-8"),
    ],
)  # fmt: skip
def test_tags(label: str, tag: str) -> None:
    assert bcp47(label) == tag


@given(st.from_regex(r"[a-zA-Z]{2,3}([_-][a-zA-Z]{4})?([_-]([a-zA-Z]{2}|[0-9]{3}))?", fullmatch=True) | st.text())
def test_a_tag_stays_what_it_is(label: str) -> None:
    tag = bcp47(label)
    if "als" not in label.lower():  # `als-Latn` is Albanian, and a bare `als` Alemannic
        assert bcp47(tag) == tag


def test_the_models_languages_stay_apart() -> None:
    labels = fasttext_model.load(fasttext_model.language_model_path()).labels
    tags = [bcp47(label) for label in labels]
    assert len(set(tags)) == len(labels) == 176
    changed = {label: tag for label, tag in zip(labels, tags, strict=True) if label != tag}
    assert changed == {"als": "gsw", "bh": "bho", "sh": "sr-Latn", "tl": "fil"}


def test_ranges() -> None:
    assert covers("zh", "zh")
    assert covers("zh", "zh-Hant")
    assert not covers("zh-Hant", "zh")
    assert not covers("z", "zh")


def test_same_language() -> None:
    assert same_language("en-US", "en")
    assert same_language("sr-Latn", "sr-Cyrl")
    assert same_language("no", "nb")
    assert same_language("nn", "nb")
    assert not same_language("da", "nb")
    assert not same_language("hr", "sr-Latn")
