"""The causal transformer: its masks, its cache, and a block written out."""

import pytest
import torch

from framework.functional.rotary import rotate, rotations
from framework.nn.attention import CausalBlock, CausalTransformer, attention_mask
from framework.testing.samples import normal

ROWS, TIMES, SIZE = 3, 9, 8


def make(layers: int = 2, window: int = 4) -> CausalTransformer:
    return CausalTransformer(size=SIZE, hidden=12, layers=layers, attention_heads=2, window=window)


def starts() -> torch.Tensor:
    """Two starts in the first row, none in the second, one at the first step of the third."""
    is_first = torch.zeros(ROWS, TIMES, dtype=torch.bool)
    is_first[0, 2] = is_first[0, 6] = is_first[2, 0] = True
    return is_first


def at(past, time):
    return {name: value[:, time] for name, value in past.items()}


@pytest.mark.parametrize("window", [1, 4, 20])
@pytest.mark.parametrize("parts", [(1,) * TIMES, (2, 1, 6)])
def test_chunks_of_tokens_give_the_outputs_of_the_whole(window, parts):
    model, tokens, is_first = make(window=window), normal(ROWS, TIMES, SIZE), starts()
    whole, after = model(tokens, is_first, model.empty_past(ROWS))
    past, first = model.empty_past(ROWS), 0
    for length in parts:
        here = slice(first, first + length)
        outputs, following = model(tokens[:, here], is_first[:, here], past)
        past, first = at(following, -1), first + length
        assert torch.allclose(outputs, whole[:, here], atol=1e-5)
        for name, value in past.items():
            assert torch.allclose(value, after[name][:, first - 1], atol=1e-5)


def test_a_block_equals_attention_written_out():
    block, tokens, past = CausalBlock(size=SIZE, hidden=12, attention_heads=2), normal(1, 3, SIZE), normal(1, 2, 2 * SIZE, seed=1)
    age, rotation = torch.tensor([[2.0, 3.0, 1.0]]), rotations(5, SIZE // 2, tokens.device)
    outputs, keys_values = block(tokens, past, attention_mask(age, 3), rotation)
    normed = block.attention_norm(tokens)
    assert torch.allclose(keys_values, torch.cat([past, block.key_value(normed)], dim=1))
    for time, positions in enumerate([(1, 2), (1, 2, 3), (4,)]):
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            query = rotate(block.query(normed)[0, time, head].expand(5, 4), rotation)[time + 2]
            keys = rotate(keys_values[0, :, :SIZE][:, head], rotation)[list(positions)]
            weights = (keys @ query / 2.0).softmax(dim=0)
            heads.append(weights @ keys_values[0, :, SIZE:][list(positions), head])
        after = tokens[0, time] + block.output(torch.cat(heads))
        expected = after + block.perceptron(block.perceptron_norm(after))
        assert torch.allclose(outputs[0, time], expected, atol=1e-5)


def test_the_past_of_all_steps_shares_one_buffer():
    model = make(window=6)
    _, past = model(normal(ROWS, TIMES, SIZE), starts(), model.empty_past(ROWS))
    assert set(past) == {"age", "block_0", "block_1"}
    for name in ("block_0", "block_1"):
        assert past[name].shape == (ROWS, TIMES, 5, 2 * SIZE)
        assert past[name].untyped_storage().nbytes() == ROWS * (5 + TIMES) * 2 * SIZE * 4
    assert model.empty_past(1000)["block_0"].untyped_storage().nbytes() == 5 * 2 * SIZE * 4
