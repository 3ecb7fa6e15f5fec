"""What a constructor refuses, plain `check` refuses too: in the same sentence, at its line, before anything is built."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from framework.composition import check
from framework.composition.constructors import Construction
from framework.composition.problems import Place
from framework.composition.reading import UNKNOWN
from framework.composition.tree import Node, Setting
from framework.errors import UserError
from framework.signatures import builtin_components
from framework.source_text import literal
from tests.members import build
from tests.programs import answer
from tests.tiny import LATENT, OBSERVATIONS, behavior_sizes, objective_sizes

Write = Callable[[str, str], Path]
COMPONENTS = [component for members in builtin_components().values() for component in members.values()]
DERIVED: Mapping[str, Callable[[], dict[str, Any]]] = {
    "actor_critics": lambda: behavior_sizes(LATENT),
    "bounds": lambda: {"latent": LATENT, "embedding_size": 5},
    "critics": lambda: {"latent": LATENT, "embedding_size": 5},
    "dynamics": lambda: {"embedding_size": 5, "action_size": 2},
    "encoders": lambda: {"observation": OBSERVATIONS["pixels"]},
    "heads": lambda: {"latent": LATENT},
    "negatives": dict,
    "objectives": objective_sizes,
    "optimizers": lambda: {"parameters": [torch.nn.Parameter(torch.zeros(2))]},
    "values": lambda: {"feature_size": 3},
}

IMPOSSIBLE = [
    ("actor_critics.CEMPlanner", {"elites": 9, "candidates": 3}),
    ("actor_critics.CEMPlanner", {"action_noise": -0.1}),
    ("actor_critics.LatentSAC", {"initial_temperature": 0.0}),
    ("actor_critics.MixedGradient", {"mix": 1.5}),
    ("actor_critics.MPPIPlanner", {"minimum_std": 0.0}),
    ("actor_critics.MPPIPlanner", {"policy_plans": 9, "candidates": 3}),
    ("actor_critics.Plan2Explore", {"members": 1}),
    ("actor_critics.Reinforce", {"replay_value": -0.3}),
    ("bounds.Interpolated", {"alpha": 1.5}),
    ("bounds.MINE", {"rate": 0.0}),
    ("bounds.Penalized", {"weight": -1.0}),
    ("bounds.SMILE", {"clip": 0.0}),
    ("critics.CategoricalCritic", {"unimix": 1.0}),
    ("critics.ConcatCritic", {"pairs_at_once": 0}),
    ("critics.CosineCritic", {"initial_temperature": 0.0}),
    ("critics.CosineCritic", {"initial_temperature": -1.0, "temperature": "fixed"}),
    ("critics.GaussianCritic", {"minimum_std": 0.0}),
    ("critics.MultiHorizonCritic", {"offsets": (1, 1)}),
    ("critics.PriorCritic", {"minimum_std": -0.1}),
    ("dynamics.BlockRSSM", {"blocks": 3, "deterministic": 8}),
    ("dynamics.GaussianRSSM", {"balance": 1.5}),
    ("dynamics.CategoricalRSSM", {"balance": -0.1}),
    ("dynamics.TransformerSSM", {"attention_heads": 4, "deterministic": 12}),
    ("dynamics.TransformerSSM", {"window": 0}),
    ("encoders.MaxPoolConvEncoder", {"kernel": 4}),
    ("encoders.ViTEncoder", {"attention_heads": 3, "size": 8}),
    ("heads.ContinuationHead", {"discount": 0.0}),
    ("negatives.ActionNegatives", {"count": 0}),
    ("negatives.Debiased", {"positive_share": 1.0}),
    ("negatives.HardWeighted", {"beta": -1.0}),
    ("negatives.MemoryQueue", {"slow_rate": 1.5}),
    ("negatives.MemoryQueue", {"size": 0}),
    ("negatives.Mixed", {"share": 1.5}),
    ("negatives.Mixed", {"count": 0}),
    ("negatives.MoCHi", {"mixed": 0, "with_anchor": 0}),
    ("negatives.Ring", {"lower": 0.9, "upper": 0.1}),
    ("negatives.RollingWindow", {"rows": 0}),
    ("negatives.TopK", {"count": 0}),
    ("negatives.UniformSubset", {"candidates": 1}),
    ("negatives.WindowExcluded", {"steps": 0}),
    ("objectives.ActionConditionedCPC", {"steps": 0}),
    ("objectives.BarlowTwins", {"redundancy": -1.0}),
    ("objectives.LatentConsistency", {"discount": 1.5}),
    ("objectives.NextEmbedding", {"horizon": 0}),
    ("objectives.NextEmbedding", {"units": 6, "attention_heads": 2}),
    ("objectives.Prototypes", {"temperature": 0.0}),
    ("objectives.TemporalPredictive", {"noise": -0.1}),
    ("optimizers.Adam", {"learning_rate": 0.0}),
    ("optimizers.AdamW", {"warmup": -1}),
    ("optimizers.LaProp", {"momentum": 1.0}),
    ("values.EnsembleValue", {"members": 0}),
    ("values.NormalValue", {"slow_rate": 0.0}),
    ("values.QuantileValue", {"width": 0.0}),
    ("values.TwoHotValue", {"bins": 2}),
    ("values.TwoHotValue", {"slow_every": 0}),
]


def refusals(selector: str, settings: Mapping[str, Any]) -> list[str]:
    """What is read from the source of a component with these settings and its defaults, its sizes unknown."""
    family, name = selector.split(".")
    component = builtin_components()[family][name]
    place = Place("recipe.gin", 1)
    node = Node(component, name, place)
    for each in component.settings:
        value = settings.get(each.name, UNKNOWN if each.default is None else _default(each.default))
        node.settings[each.name] = Setting(each, value, None, (), (), sound=True)
    construction = Construction()
    construction.build(node, **{each.name: UNKNOWN for each in component.parameters if each.derived})
    return [problem.message for problem in construction.problems]


def _default(text: str) -> Any:
    try:
        return literal(text)
    except ValueError:
        return UNKNOWN


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.selector)
def test_the_defaults_of_every_component_are_accepted(component: Any) -> None:
    assert refusals(component.selector, {}) == []


@pytest.mark.parametrize(("selector", "settings"), IMPOSSIBLE, ids=[f"{name} {settings}" for name, settings in IMPOSSIBLE])
def test_it_refuses_in_the_words_of_the_constructor(selector: str, settings: dict[str, Any]) -> None:
    family, name = selector.split(".")
    small = {key: value for key, value in settings.items() if not isinstance(value, bool)}
    with pytest.raises(UserError) as caught:
        build(family, name, **small, **DERIVED[family]())
    known = {**_small(family, name), **settings}
    assert refusals(selector, known) == [str(caught.value)]


def _small(family: str, name: str) -> dict[str, Any]:
    """The settings that `build` gives beside those of the test."""
    from tests.members import SMALL

    return {key: value for key, value in SMALL.items() if key in {each.name for each in builtin_components()[family][name].settings}}


PLAIN_CHECK = {
    "a share that is none": ("InfoNCE.negatives = @Debiased\nDebiased.positive_share = 1.0", 4, "Debiased.positive_share = 1.0 must be"),
    "a setting of the run": ("Run.seed = -1", 3, "Run.seed = -1 at least 0"),
    "no sequence in a batch": ("Replay.batch = 0", 3, "Replay.batch is 0; bind a whole number of at least 1"),
    "a replay too small": (
        "Run.environments = 4\nReplay.capacity = 60",
        4,
        "leaves 15 steps to each of 4 environments",
    ),
    "an action held for no step": ("DMControl.action_repeat = 0", 3, "DMControl.action_repeat = 0 must be at least 1"),
    "a density in another critic, off its axis": (
        "InfoNCE.critic = @MultiHorizonCritic\nMultiHorizonCritic.critic = @GaussianCritic\nInfoNCE.axis = 'symmetric'",
        5,
        "InfoNCE.axis = 'symmetric' does not fit GaussianCritic, a density over the latent: off its own axis the bound is wrong by nats; "
        "bind InfoNCE.axis = 'row'",
    ),
    "a bound that cannot be trained": ("InfoNCE.bound = @LeaveOneOut", 3, "LeaveOneOut bounds from above, and cannot be trained"),
    "a color out of range": (
        "Run.environment = @Distractors\nDistractors.of = @DMControl\nDistractors.color = 2.0",
        5,
        "Distractors.color = 2 is out of range; bind a number from 0 to 1",
    ),
}


@pytest.mark.parametrize("name", PLAIN_CHECK)
def test_plain_check_refuses(name: str, write: Write) -> None:
    lines, line, message = PLAIN_CHECK[name]
    write("recipe.gin", f"include 'quickstart.gin'\n\n{lines}\n")
    found = check("recipe.gin")
    assert len(found) == 1, "\n".join(map(str, found))
    assert (found[0].file, found[0].line) == ("recipe.gin", line)
    assert message in found[0].message


def test_every_component_says_what_is_wrong_with_it(write: Write) -> None:
    lines = ["Replay.batch = 0", "Run.environments = 0", "InfoNCE.negatives = @TopK", "TopK.count = 0", "NormalValue.slow_rate = 2.0"]
    write("recipe.gin", "include 'quickstart.gin'\n" + "".join(f"{line}\n" for line in lines))
    assert [problem.line for problem in check("recipe.gin")] == [2, 3, 5, 6]


def test_a_rule_and_a_constructor_say_it_once(write: Write) -> None:
    assert len(check("agent.gin", ["InfoNCE.axis = 'column'"], root="parts.Agent")) == 1


OWN = """
from framework import negatives
from framework.errors import UserError


def at_most(limit: int, steps: int) -> None:
    if steps > limit:
        raise UserError(f"OwnNegatives.steps = {steps} must be at most {limit}.")


@negatives.register
class OwnNegatives(negatives.Negatives):
    def __init__(self, *, steps: int = 3) -> None:
        super().__init__()
        at_most(5, steps)

    def choose(self, contrast, seed):
        return contrast
"""


def test_a_user_s_own_component_is_read_alike(write: Write) -> None:
    write("own_read_negatives.py", OWN)
    write("recipe.gin", "import own_read_negatives\ninclude 'agent.gin'\nInfoNCE.negatives = @OwnNegatives\nOwnNegatives.steps = 5\n")
    assert check("recipe.gin", root="parts.Agent") == []
    found = check("recipe.gin", ["OwnNegatives.steps = 6"], root="parts.Agent")
    assert [str(each) for each in found] == ["-b 'OwnNegatives.steps = 6' (number 1): OwnNegatives.steps = 6 must be at most 5."]


def test_nothing_of_torch_is_imported() -> None:
    asked = answer(
        "from framework.composition import check",
        "found = check('dreamer_v3', ['DMControl.size = 84', 'BlockRSSM.blocks = 7'])",
        "print(json.dumps([len(found), [name for name in ('torch', 'numpy', 'dm_env', 'dm_control') if name in sys.modules]]))",
    )
    assert asked == [3, []]
