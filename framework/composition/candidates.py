"""Whether a batch has what a negative-sampling strategy or a bound asks of it: rules of the same kind as those of `specs`."""

from collections.abc import Iterator

from framework.composition.problems import Problem
from framework.composition.tree import Node, Plan, wrapped


def batches_have_enough_candidates(plan: Plan) -> Iterator[Problem]:
    """A strategy that declares `counts_candidates` or `counts_negatives` chooses among the steps of a batch, if none in it adds others."""
    for holder, batch, length in _contrasts(plan):
        chain = wrapped(holder.links("negatives")[None].node)
        for place, node in enumerate(chain):
            if any(each.component.facts.get("adds_candidates") for each in chain[place + 1 :]):
                continue
            for fact, what, least, most in (
                ("counts_candidates", "candidates", 2, batch * length),
                ("counts_negatives", "negatives", 1, batch * length - 1),
            ):
                for name in node.component.facts.get(fact, ()):
                    if node.sound(name) and (value := node.settings[name].value) > most:
                        message = (
                            f"{node.key}.{name} = {value}, and a batch of {batch} x {length} steps has {most} {what}; "
                            f"bind from {least} to {most}, or a larger Replay.batch or Replay.length."
                        )
                        yield Problem.at(node.place_of(name), message)


def every_anchor_has_a_negative(plan: Plan) -> Iterator[Problem]:
    """What the strategies declare in `keeps_only` and `leaves_out` leaves something beside the positive."""
    for holder, batch, length in _contrasts(plan):
        chain = wrapped(holder.links("negatives")[None].node)
        if any(each.component.facts.get("adds_candidates") for each in chain):
            continue
        kept = {each.component.facts.get("keeps_only") for each in chain}
        others = {each.component.facts.get("leaves_out") for each in chain}
        rows = 1 if "row" in kept else batch
        times = 1 if "time" in kept else length
        if rows * times == 1 or (rows == 1 and "row" in others):
            names = " of ".join(each.name for each in chain)
            message = (
                f"{holder.key}.negatives leaves no anchor a negative: {names} keeps nothing but the positives of {batch} x {length} steps; "
                f"bind another strategy, or a larger Replay.batch or Replay.length."
            )
            yield Problem.at(holder.place_of("negatives"), message)


def bounds_see_the_anchors_that_they_join(plan: Plan) -> Iterator[Problem]:
    """A bound that declares `joins_anchors` has them all in one matrix, which a batch larger than `chunk_above` has not."""
    for holder, batch, length in _contrasts(plan):
        bound, most = holder.links("bound").get(None), holder.settings.get("chunk_above")
        if bound is None or most is None or not holder.sound("bound", "chunk_above") or batch * length <= most.value:
            continue
        for node in wrapped(bound.node):
            if node.component.facts.get("joins_anchors"):
                message = (
                    f"{node.name} joins all anchors of a batch, and {batch} x {length} steps are more than {holder.key}.chunk_above = "
                    f"{most.value}, above which it would see them in blocks; bind {holder.key}.chunk_above = {batch * length}, which takes "
                    f"memory for whole matrices, or another {holder.key}.bound."
                )
                yield Problem.at(holder.place_of("bound"), message)


def _contrasts(plan: Plan) -> Iterator[tuple[Node, int, int]]:
    """Each component that holds strategies, with the sequences of a batch and the steps of each."""
    for replay in plan.nodes():
        if replay.component.selector == "parts.Replay" and replay.sound("batch", "length"):
            batch, length = replay.settings["batch"].value, replay.settings["length"].value
            for holder in plan.nodes():
                if None in holder.links("negatives") and holder.sound("negatives") and min(batch, length) > 0:
                    yield holder, batch, length
