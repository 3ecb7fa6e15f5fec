"""Constructors, read instead of run: followed step by step as far as their values are known, so that nothing need be imported.

What is not known (a size that only building gives, whatever is of torch) is `UNKNOWN`. A step that would be decided by it is left out,
with all that it would have changed; so what is found here is found when the component is built as well, and in the same words.

    unknown      what is not known, and how it spreads
    names        the names that a constructor may use
    made         what a constructor made
    expressions  expressions, worked out by Python with these names alone
    forgetting   what is no longer known after a step that was left out
    reading      the steps
"""

from framework.composition.reading.reading import Reading, Refusal
from framework.composition.reading.unknown import UNKNOWN, Given, NotKnown

__all__ = ["UNKNOWN", "Given", "NotKnown", "Reading", "Refusal"]
