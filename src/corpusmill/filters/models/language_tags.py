"""Names of languages: what a model or a page calls one, as a BCP 47 tag (RFC 5646).

The tables are facts of the IANA Language Subtag Registry, ISO 639 and CLDR's language aliases.
"""

from __future__ import annotations

import functools

import regex

UNDETERMINED = "und"
"""No known language (ISO 639-2)."""

_DEFAULT_SCRIPTS = {
    language: script
    for script, languages in {
        "Arab": "ar fa ps ur",
        "Armn": "hy",
        "Beng": "as bn",
        "Cyrl": "ab be bg kk mk ru uk",
        "Deva": "hi kok mai mr ne",
        "Ethi": "am ti",
        "Geor": "ka",
        "Grek": "el",
        "Gujr": "gu",
        "Guru": "pa",
        "Hebr": "he yi",
        "Jpan": "ja",
        "Khmr": "km",
        "Knda": "kn",
        "Kore": "ko",
        "Laoo": "lo",
        "Mlym": "ml",
        "Mymr": "my",
        "Nkoo": "nqo",
        "Orya": "or",
        "Sinh": "si",
        "Taml": "ta",
        "Telu": "te",
        "Thaa": "dv",
        "Thai": "th",
        "Tibt": "dz",
        "Latn": (
            "af ay bs ca ch cs cy da de dsb en eo es et eu fi fil fj fo fr frr frs fy ga gl gn gsw gv hr hsb ht hu id "
            "is it kl la lb ln lt lv men mg mh ms mt na nb nd nds niu nl nn no nr nso ny om pl pt qu rm rn ro rw sg sk "
            "sl sm so sq ss st sv sw tem tkl tl tmh tn to tpi tr ts tvl ve vi xh zu"
        ),
    }.items()
    for language in languages.split()
}
"""Suppress-Script of the registry: the script that a tag of this language does not name."""

_CODES = (
    "aaraa abkab afraf akaak albsq amham araar argan armhy asmas avaav aveae aymay azeaz bakba bambm baqeu belbe "
    "benbn bisbi bodbo bosbs brebr bulbg burmy catca cescs chach chece chizh chucu chvcv corkw cosco crecr cymcy "
    "czecs danda deude divdv dutnl dzodz ellel engen epoeo estet euseu eweee faofo fasfa fijfj finfi frafr frefr "
    "fryfy fulff geoka gerde glagd glega glggl glvgv greel grngn gujgu hatht hauha hbssh hebhe herhz hinhi hmoho "
    "hrvhr hunhu hyehy iboig iceis idoio iiiii ikuiu ileie inaia indid ipkik islis itait javjv jpnja kalkl kankn "
    "kasks katka kaukr kazkk khmkm kikki kinrw kirky komkv konkg korko kuakj kurku laolo latla lavlv limli linln "
    "litlt ltzlb lublu luglg macmk mahmh malml maomi marmr mayms mkdmk mlgmg mltmt monmn mrimi msams myamy nauna "
    "navnv nblnr ndend ndong nepne nldnl nnonn nobnb norno nyany ocioc ojioj orior ormom ossos panpa perfa plipi "
    "polpl porpt pusps quequ rohrm ronro rumro runrn rusru sagsg sansa sinsi slksk slosk slvsl smese smosm snasn "
    "sndsd somso sotst spaes sqisq srdsc srpsr sswss sunsu swasw swesv tahty tamta tattt telte tgktg thath tibbo "
    "tirti tonto tsntn tsots tuktk turtr twitw uigug ukruk urdur uzbuz venve vievi volvo welcy wlnwa wolwo xhoxh "
    "yidyi yoryo zhaza zhozh zulzu"
)
_TWO_LETTERS = {code[:3]: code[3:] for code in _CODES.split()}
"""ISO 639-2 and 639-3 → 639-1, which a tag uses where there is one."""

_ALIASES = {
    # withdrawn codes, and those that mean another one in use
    **{"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "mol": "ro", "tl": "fil", "tgl": "fil"},
    **{"bh": "bho", "bih": "bho", "sh": "sr-Latn"},
    # the member of a macrolanguage that is meant when the macrolanguage is named
    **{"arb": "ar", "ayr": "ay", "azj": "az", "cmn": "zh", "ekk": "et", "gaz": "om", "gug": "gn", "khk": "mn"},
    **{"kmr": "ku", "kpv": "kv", "lvs": "lv", "npi": "ne", "ory": "or", "pbt": "ps", "pbu": "ps", "pes": "fa"},
    **{"plt": "mg", "quz": "qu", "swh": "sw", "uzn": "uz", "ydd": "yi", "zsm": "ms"},
}

_TAG = regex.compile(r"(?i)([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?((?:-[a-z0-9]{5,8}|-\d[a-z0-9]{3})*)")


@functools.lru_cache(maxsize=1 << 16)
def bcp47(label: str) -> str:
    """The tag for a label such as `en`, `eng_Latn`, `zho_Hans` or `pt-br`; what can't be one is given back as it is.

    The shortest code of the language; the script where it is not the registry's default for it, and not `Hani`, which
    says no more than that the language is written in Chinese characters; the region where one is given. `als` is
    Alemannic (`gsw`), as Wikipedia and lid.176 name it; where a script follows it is Tosk Albanian (`sq`), as in
    ISO 639-3. Of a macrolanguage and its chief member, such as `zh` and `cmn`, the tag names the macrolanguage.
    """
    found = _TAG.fullmatch(label.strip().replace("_", "-"))
    if found is None:
        return label
    language, script, region, rest = (part or "" for part in found.groups())
    language, script = language.lower(), script.capitalize()
    if language == "als":
        language = "sq" if script else "gsw"
    language = _TWO_LETTERS.get(language, language)
    language, _, alias_script = _ALIASES.get(language, language).partition("-")
    script = script or alias_script
    if language == UNDETERMINED:
        return UNDETERMINED
    default = _DEFAULT_SCRIPTS.get(language)
    if script in (default, "Hani") or (script == "Hang" and default == "Kore"):
        script = ""
    return "-".join(filter(None, (language, script, region.upper()))) + rest.lower()


def covers(wanted: str, tag: str) -> bool:
    """Whether `tag` is in the language range `wanted` (RFC 4647 §3.3.1): `zh` covers `zh` and `zh-Hant`."""
    return tag == wanted or tag.startswith(f"{wanted}-")


def same_language(one: str, other: str) -> bool:
    """Whether two tags name one language, whatever the script and region; Norwegian `no` is `nb` and `nn` too."""
    return _primary(one) == _primary(other)


def _primary(tag: str) -> str:
    language = tag.partition("-")[0]
    return "no" if language in ("nb", "nn") else language
