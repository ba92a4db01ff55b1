"""Lifecycle rules of a bucket, which delete old objects, as S3's XML.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable


def parsed(text: bytes) -> list[ElementTree.Element]:
    """Return the rules in an answer, without XML namespaces; raises ValueError if it is not XML."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (expat itself refuses entities that grow)
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall("Rule")


def name(rule: ElementTree.Element) -> str:
    """Return the name of a rule, or an empty text."""
    return rule.findtext("ID") or ""


def meaning(rule: ElementTree.Element) -> tuple[str | None, ...]:
    """Return prefix, days and status of a rule."""
    return tuple(rule.findtext(path) for path in ("Filter/Prefix", "Expiration/Days", "Status"))


def rule(name: str, prefix: str, days: int) -> ElementTree.Element:
    """Return the rule that objects below a prefix go after some days."""
    made = ElementTree.Element("Rule")
    for path, text in (("ID", name), ("Status", "Enabled")):
        ElementTree.SubElement(made, path).text = text
    ElementTree.SubElement(ElementTree.SubElement(made, "Filter"), "Prefix").text = prefix
    ElementTree.SubElement(ElementTree.SubElement(made, "Expiration"), "Days").text = str(days)
    return made


def document(rules: Iterable[ElementTree.Element]) -> bytes:
    """Return all rules of a bucket as S3 takes them."""
    root = ElementTree.Element("LifecycleConfiguration")
    root.extend(rules)
    return ElementTree.tostring(root)
