"""Texts on which tokenizers disagree."""

from __future__ import annotations

from collections.abc import Iterable

_HOSTILE = (
    "",
    " ",
    "  ",
    "   \n",
    "\n",
    "\n\n\n",
    "\r\n\r\n",
    "\t\t x\t",
    " leading",
    "trailing ",
    "two  spaces   three    four",
    "line\nline\n\n  indented\n\tdef f(x):\n\t\treturn x\n",
    "\x00",
    "a\x00b\x01\x02\x1b[0m\x7f",
    "\ufeffbyte order mark",
    "I'm you're we've he'd she'll it's don't I'M YOU'RE 'tis o'clock ''s 's",
    "don’t curly ‘quotes’ “double” – — …",
    "0 1 12 123 1234 12345678901234567890 3.14159 1,000,000 1e-9 0x1F v1.2.3",
    "½ ² ③ Ⅷ ٣٤٥ १२३ 四十二 𝟙𝟚𝟛",
    "snake_case camelCase SCREAMING_CASE kebab-case path/to/file.txt C:\\dir\\x",
    "https://example.org/a?b=c&d=%20#e user@example.org",
    "<html><b class='x'>&amp;&nbsp;</b><!-- c --></html>",
    "$x^2 + \\frac{1}{2}$ \\begin{align}a&=b\\\\\\end{align}",
    "=" * 300,
    "-" * 77 + "\n" + "*" * 1025,
    "a" * 3000,
    "ab" * 2000,
    " " * 1000,
    "\n" * 1000,
    "é" * 700,
    "漢" * 700,
    "🙂" * 300,
    "e\u0301 cafe\u0301 n\u0303 \u0301alone a" + "\u0300\u0301\u0302\u0303" * 50,
    "ﬁ ﬂ Å Å ﷺ Ǆ ſ İ ı ß ẞ",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ #️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "שלום עולם مرحبا بالعالم \u202eright\u202c \u200fmark\u200e",
    "हिन्दी பதிவு ไทยไม่มีช่องว่าง ភាសាខ្មែរ မြန်မာ",
    "日本語のテキスト、改行も。한국어 문장 中文，没有空格。",
    "Ελληνικά Русский Українська հայերեն ქართული አማርኛ ᚠᚢᚦ 𐍈𐌿 𓀀 𝔘𝔫𝔦",
    "\u00a0no-break\u00a0space \u2003em \u3000ideographic \u200bzero \u2060joiner",
    "\u180e \u0085 \u2028 \u2029 \x0b \x0c x",
    "soft\u00adhyphen \u2011 \u2010",
    "\ue000 \uf8ff private \U000f0000 \U0010ffff \ufffe \uffff \ufffd replacement",
    "▁lower▁block ▁ ▁▁ Ġ Ċ ĉ ł",
    "<0x0A> <0xE2> <unk> <s> </s> [INST] [/INST] <|im_start|>user<|im_end|> <|endoftext|><|padding|>",
    "<|endoftext|>",
    "a<|endoftext|>b",
    "<|endoftext|> <|end oftext|> < |endoftext|>",
    "x\n<|endoftext|>\ny",
    "it'ſ 'ſx 'S 'LL 'lL 'Re'vE 'D'm",
    "\x1c\x1d \x1e\x1f\x1f a\x1cb \x85\x85c \u2028\n\u2029",
    "12345\u0661\u0662\u0663\u0664 1\u0300 ²³⁴⁵ Ⅷ①12a3b4 1.000.000,00 00001",
    "\n \n  \r\n\t\n x \n\n y\r z\r\r\n",
    "ABCdef AbcDEF ÀÉÎõü ǅǆ ʰʱ aʰB ÄÖÜ's İI'LL fooBar/\n//\r\n/*x*/",
    "aaaabaaab" * 30 + " " + "abcabcab" * 30 + "=-" * 40 + "/*" * 40 + "  \t" * 20,
)


def in_company(name: str) -> tuple[str, ...]:
    """Texts with the name of an added token in them."""
    return name, f"a{name}b", f" {name} ", f"\n{name}\n", name + name


def hostile_texts(added_tokens: Iterable[str]) -> list[str]:
    """Texts on which tokenizers disagree: fixed ones, every block of characters, names of added tokens in company."""
    starts = [*range(0, 0xD800, 0x100), *range(0xE000, 0x10000, 0x100)]  # between them are the surrogates
    blocks = ["".join(chr(c) for c in range(start, start + 0x100)) for start in starts]
    astral = ["".join(chr(c) for c in range(start, start + 0x40)) for start in range(0x10000, 0x20000, 0x400)]
    spaced = [" ".join(block) for block in blocks[:4]]
    names = list(added_tokens)
    company = [text for name in names for text in in_company(name)]
    return [*_HOSTILE, *blocks, *astral, *spaced, *company, " ".join(names), "".join(names)]
