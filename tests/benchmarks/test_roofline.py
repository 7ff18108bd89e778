"""The products of the roofline are those of an update."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.roofline import Roofline, product_rate
from benchmarks.setups import Case, setup, transitions

CASE = Case(3, (12, 8), 16)


@pytest.mark.parametrize("updates", [1, 2, 5])
def test_it_counts_the_operations_that_torch_counts(updates: int) -> None:
    roofline = Roofline(CASE)
    with FlopCounterMode(display=False) as counter:
        roofline.update(updates)
    assert roofline.flops(updates) == counter.get_total_flops()


def test_it_multiplies_as_much_as_an_update_does() -> None:
    made, roofline = setup(CASE, transitions(CASE.members, 50)), Roofline(CASE)
    with FlopCounterMode(display=False) as counter:
        made.update(4)
    assert roofline.flops(4) == counter.get_total_flops()


def test_it_computes_the_passes_of_a_layer() -> None:
    critics = Roofline(CASE).critics
    critics.forward()
    critics.backward(inputs=True)
    layer, (of_inputs, of_weight) = critics.layers[0], critics.gradients[0]
    inputs, weight = layer.inputs.clone().requires_grad_(), layer.weight.clone().requires_grad_()
    output = torch.baddbmm(layer.bias, inputs, weight.mT)
    torch.testing.assert_close(layer.output, output.detach())
    torch.autograd.backward(output, layer.output)
    torch.testing.assert_close(of_inputs, inputs.grad)
    torch.testing.assert_close(of_weight, weight.grad)


def test_the_rate_of_a_product_is_positive() -> None:
    assert product_rate(torch.float32, size=8, repeats=1) > 0
