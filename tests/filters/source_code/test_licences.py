"""`licence`: identifiers, notices behind comment marks, columns, and families."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from corpusmill.errors import ConfigError
from corpusmill.filters.measure import measure
from corpusmill.filters.sift import arrow_signals
from corpusmill.filters.source_code.licences import Licence
from corpusmill.soundness import check_steps
from corpusmill.text import Texts

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
BSD = "Redistribution and use in source and binary forms, with or without modification, are permitted provided that"
APACHE = 'Licensed under the Apache License, Version 2.0 (the "License")'
GPL = "it under the terms of the GNU General Public License as published by"


def found(texts: list[str], **options: Any) -> list[tuple[str, str, bool]]:
    table = measure(texts, "licence", **options)
    names = ("licence.id", "licence.family", "keep")
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def commented(text: str) -> str:
    words = text.split()
    return "/*\n" + "\n".join(f" * {' '.join(words[k : k + 3])}" for k in range(0, len(words), 3)) + "\n */\n"


@pytest.mark.parametrize(
    ("text", "licence", "family"),
    [
        (MIT, "mit", "mit"),
        (APACHE, "apache-2.0", "apache"),
        (BSD, "bsd-2-clause", "bsd"),
        (f"{BSD} ... Neither the name of X nor", "bsd-3-clause", "bsd"),
        (f"{BSD} All advertising materials mentioning features or use of this software", "bsd-4-clause", "bsd"),
        ("Use of this source code is governed by a BSD-style license", "bsd", "bsd"),
        (GPL, "gpl", "gpl"),
        (GPL.replace("General", "Lesser General"), "lgpl", "lgpl"),
        (f"{MIT}. Or, at your option, {GPL}", "gpl", "gpl"),
        ("Mozilla Public License, v. 2.0", "mpl-2.0", "mpl"),
        ("SPDX-License-Identifier: MIT */", "mit", "mit"),
        ("spdx-license-identifier: Apache-2.0 WITH LLVM-exception -->", "apache-2.0 with llvm-exception", "apache"),
        ("SPDX-License-Identifier: (GPL-2.0-only OR MIT)\n" + APACHE, "(gpl-2.0-only or mit)", "mit"),
        ("SPDX-License-Identifier: MIT AND GPL-2.0-only", "mit and gpl-2.0-only", "gpl"),
        ("SPDX-License-Identifier:\n" + APACHE, "apache-2.0", "apache"),
        ("SPDX-License-Identifier: 0BSD", "0bsd", "0bsd"),
        ("submit license omit licensed", "unknown", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_notices(text: str, licence: str, family: str) -> None:
    kept = family in ("apache", "bsd", "mit", "unknown")
    assert found([text]) == [(licence, family, kept)]
    if "SPDX" not in text.upper():
        assert found([commented(text)]) == [(licence, family, kept)]


def test_unknown_length_and_place() -> None:
    assert found(["x"], keep_unknown=False) == [("unknown", "unknown", False)]
    assert found([" " * 90 + APACHE], head_bytes=100) == [("unknown", "unknown", True)]
    assert found([APACHE], keep="off") == [("apache-2.0", "apache", True)]
    reason = measure(["é # " + GPL], "licence").column("reasons").to_pylist()[0][0]
    assert ', at 30-56: "GNU General Public License"' in reason


def test_columns() -> None:
    step = Licence(column="record.license")
    assert step.needs() == ("record.license",)
    texts = Texts.from_strings([MIT, MIT, MIT, "x"])
    batch = pa.record_batch({"record.license": pa.array(["GPL-3.0", None, "", None])})
    assert arrow_signals(step, step.measure(texts, batch))["licence.id"].to_pylist() == [
        "gpl-3.0",
        "mit",
        "mit",
        "unknown",
    ]


def test_options() -> None:
    check_steps([Licence()])
    for wrong in ({"head_bytes": 0}, {"keep": ()}, {"keep": ("MIT",)}):
        with pytest.raises(ConfigError):
            Licence(**wrong)  # type: ignore[arg-type]


def test_neighbours_and_hostile_text() -> None:
    texts = [
        "",
        "\x00",
        "\ud800",
        MIT,
        "é" * 5000 + MIT,
        GPL[:20],
        GPL[20:],
        "SPDX-License-Identifier: \x00",
        "a" * (1 << 20),
    ]
    assert found(texts) == found(texts[::-1])[::-1] == [found([text])[0] for text in texts]
