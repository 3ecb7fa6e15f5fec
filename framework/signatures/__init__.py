"""What every component is and takes, for listings and for the reading of recipes."""

from framework.signatures.builtin import builtin_components, contract_of
from framework.signatures.component import FAMILIES, SENTENCE_END, Component, Family, Parameter
from framework.signatures.imported import component_of, constructor, source_of

__all__ = [
    "FAMILIES",
    "SENTENCE_END",
    "Component",
    "Family",
    "Parameter",
    "builtin_components",
    "component_of",
    "constructor",
    "contract_of",
    "source_of",
]
