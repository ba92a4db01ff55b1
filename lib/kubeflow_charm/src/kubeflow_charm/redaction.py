"""Remove credentials from the text of other programs, for statuses and logs.

When a program fails, it prints why, and that may include the address of its database with the password.
Everybody who may run `juju status` can read it. So whatever looks like a credential becomes `***`, even in
doubtful cases. The words around it stay, because they say what is wrong.
"""

from __future__ import annotations

import re

HIDDEN = "***"
LIMIT = 1000
"""Characters that we keep; a status shows 120. The patterns are slow for longer text."""

_NAME = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[ _-]?key|access[ _-]?key(?:[ _-]?id)?"
    r"|private[ _-]?key|secret[ _-]?key|account[ _-]?key|signature|cookie|session[ _-]?id|sig)"
)
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,;&'"(){}\[\]]+)"""

_RULES: tuple[tuple[str, str], ...] = (
    # A key in PEM, with everything after it.
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*", HIDDEN),
    # postgres://user:pass@host, https://token@host. A password may have slashes; a digest is not one.
    (r"""(://)[^\s'"/@]*:[^\s'"]*@(?!sha\d+:)""", rf"\1{HIDDEN}@"),
    (r"""(://)[^\s'"/@]+@""", rf"\1{HIDDEN}@"),
    # user:pass@tcp(host:3306)/db, and user:pass@host:3306.
    (
        r"""(?<![\w/:.])([\w.%+-]+:)(?!//)[^\s'"]+@(?=\w+\(|[\w\[][\w.-]*[:/])(?!sha\d+:)""",
        rf"\1{HIDDEN}@",
    ),
    # Authorization: Bearer ..., and a bearer token anywhere.
    (
        rf"""(?i)((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:\w+\s+)?){_VALUE}""",
        rf"\1{HIDDEN}",
    ),
    (r"(?i)\b(bearer|basic|token)\s+(?=\S*[\d._~+/=-]\S*)[\w.~+/=-]{8,}", rf"\1 {HIDDEN}"),
    # password=..., "password": "...", --db-password ..., DB_PASSWORD: ... (not `using password: YES`).
    (rf"""(?i)(\b[\w.-]*{_NAME}[\w-]*["']?\s*=\s*|\bkey\s*=\s*){_VALUE}""", rf"\1{HIDDEN}"),
    (rf"""(?i)(\b[\w.-]*{_NAME}[\w-]*["']\s*:\s*){_VALUE}""", rf"\1{HIDDEN}"),
    (rf"""(?i)(--?[\w.-]*{_NAME}[\w-]*\s+){_VALUE}""", rf"\1{HIDDEN}"),
    (
        rf"""((?<![\w/.-])[\w.-]*(?i:{_NAME})[\w-]*:\s*)(?!(?:YES|NO)\b|[a-z]+(?:'[a-z]+)?[,:]?\s+\S|x509:){_VALUE}""",
        rf"\1{HIDDEN}",
    ),
    # Tokens with a known shape: AWS, GitHub, GitLab, Slack, Google, OpenAI, JWT.
    (
        r"\b(?:A(?:KI|SI|RO|ID)A[0-9A-Z]{12,}|gh[a-z]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
        r"|xox[a-z]-[\w-]{10,}|AIza[\w-]{30,}|sk-[\w-]{16,}|eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)",
        HIDDEN,
    ),
    # Long hexadecimal and Base64 text, but not the digest of an image.
    (r"(?<!sha256:)(?<![\w:])[0-9a-fA-F]{32,}\b", HIDDEN),
    (r"(?<![\w+/-])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*\d)[\w+/-]{32,}={0,2}", HIDDEN),
)
"""Patterns and their replacements; re compiles a pattern at its first use."""


def redacted(text: str) -> str:
    """Return the first `LIMIT` characters of `text`, with `***` for credentials."""
    text = text[:LIMIT]
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text
