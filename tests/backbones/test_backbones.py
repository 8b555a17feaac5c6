"""Backbones: the contract, parameter counts, and references written from the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import backbones
from backbones.base import last_states
from backbones.fmlp4rec import Filter
from backbones.linrec import LinearAttention, associated, directions
from backbones.mamba4rec import MambaBlock, selective_scan
from backbones.sasrec import CausalAttention
from bench.datasets import resolve_dataset
from bench.testing import BackboneContract

for _name in backbones.registry.names():
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (BackboneContract,), {"backbone": _name})


class TestMambaNativeSteps(BackboneContract):
    backbone = "mamba4rec"
    hyper = {"dt_init": "native", "layers": 1, "d_state": 4}


def build(name, n_items=100, dim=64, window=50, **hyper):
    torch.manual_seed(0)
    resolved = backbones.registry.resolve(name, hyper)
    return backbones.registry.build(name, resolved, n_items, dim, window).eval()


@pytest.mark.parametrize(
    ("name", "hyper", "published"),
    [
        ("sasrec", {}, 877_888),
        ("linrec", {}, 877_888),
        ("fmlp4rec", {}, 851_264),
        ("gru4rec", {}, 827_904),
        ("mamba4rec", {}, 906_688),
        ("mamba4rec", {"d_state": 32}, 918_976),
    ],
)
def test_parameter_counts_are_those_of_the_authors_logs(name, hyper, published):
    # Their table has one row more: a phantom item above the 12,101 of Beauty.
    count = sum(p.numel() for p in build(name, n_items=12_101, **hyper).parameters())
    assert count == published - 64


@pytest.mark.parametrize(
    "name", [n for n in backbones.registry.names() if backbones.registry.get(n).causal]
)
def test_one_pass_equals_prefix_by_prefix_on_real_sequences(data_dir, name):
    dataset = resolve_dataset("beauty", data_dir)
    model = build(name, n_items=dataset.n_items)
    worst = 0.0
    rng = np.random.default_rng(0)
    long = np.flatnonzero(dataset.lengths > 30)[:20]
    for user in [*rng.integers(0, dataset.n_users, 150), *long]:
        sequence = dataset.items[dataset.offsets[user] : dataset.offsets[user + 1]][:50]
        items = torch.as_tensor(sequence, dtype=torch.int64)
        n = len(items)
        prefixes = items.repeat(n, 1).tril()
        lengths = torch.arange(1, n + 1)
        with torch.no_grad():
            one_pass = model(items[None], torch.tensor([n]))[0]
            by_prefix = last_states(model(prefixes, lengths), lengths)
        worst = max(worst, float((one_pass - by_prefix).abs().max()))
    assert worst < 1e-5


def linear(layer, x):
    return x @ layer.weight.T + layer.bias


def test_sasrec_attention_is_softmax_over_the_past():
    torch.manual_seed(0)
    layer, x = CausalAttention(8, heads=2, dropout=0.5).eval(), torch.randn(2, 5, 8)
    q, k, v = linear(layer.qkv, x).split(8, dim=-1)
    out = torch.zeros(2, 5, 8)
    for b in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            for t in range(5):
                logits = torch.stack([q[b, t, head] @ k[b, s, head] for s in range(t + 1)]) / 2
                out[b, t, head] = logits.softmax(0) @ v[b, : t + 1, head]
    expected = layer.norm(x + linear(layer.out, out))
    torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=1e-5)


def test_sasrec_with_and_without_the_fused_kernel_agree():
    """Dropout takes another path; with nothing dropped it must give the same."""
    torch.manual_seed(0)
    layer, x = CausalAttention(8, heads=2, dropout=1e-9), torch.randn(3, 6, 8)
    torch.testing.assert_close(layer.train()(x), layer.eval()(x), atol=1e-6, rtol=1e-5)


def test_gru4rec_is_two_cells_without_biases():
    model = build("gru4rec", dim=8)
    items = torch.tensor([[5, 9, 2]])
    x, gru = model.items(items)[0], model.gru
    for layer in range(2):
        w_in, w_hidden = (getattr(gru, f"weight_{k}h_l{layer}") for k in "ih")
        h, out = torch.zeros(8), []
        for step in x:
            (ir, iz, i_n), (hr, hz, hn) = (w_in @ step).split(8), (w_hidden @ h).split(8)
            r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            h = (1 - z) * torch.tanh(i_n + r * hn) + z * h
            out.append(h)
        x = torch.stack(out)
    torch.testing.assert_close(
        model(items, torch.tensor([3]))[0], linear(model.dense, x), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("window", [10, 11])
def test_fmlp_filter_is_the_product_in_the_frequency_domain(window):
    torch.manual_seed(0)
    layer = Filter(4, window, dropout=0.5).eval()
    x, length = torch.randn(2, 6, 4), torch.tensor([6, 4])
    real = (torch.arange(6) < length[:, None]).unsqueeze(-1)
    W = torch.view_as_complex(layer.weight)
    # As released: sequences at the end of the window, the transform over all of it.
    for row, n in enumerate(length.tolist()):
        padded = torch.zeros(window, 4)
        padded[window - n :] = x[row, :n]
        spectrum = torch.fft.rfft(padded, dim=0, norm="ortho") * W
        mixed = torch.fft.irfft(spectrum, n=window, dim=0, norm="ortho")[window - n :]
        expected = layer.norm(x[row, :n] + mixed)
        torch.testing.assert_close(layer(x, real)[row, :n], expected, atol=1e-6, rtol=1e-5)


def test_linrec_attention_is_the_normalised_outer_product():
    torch.manual_seed(0)
    layer, x = LinearAttention(8, heads=2, dropout=0.5).eval(), torch.randn(2, 5, 8)
    length = [5, 3]
    real = (torch.arange(5) < torch.tensor(length)[:, None]).unsqueeze(-1)
    q, (k, v) = linear(layer.q, x), linear(layer.kv, x).split(8, dim=-1)
    unit = lambda a: F.elu(a) / F.elu(a).norm()  # noqa: E731
    for b, n in enumerate(length):
        out = torch.zeros(n, 8)
        for head in (slice(0, 4), slice(4, 8)):
            memory = sum(torch.outer(unit(k[b, s, head]), v[b, s, head]) for s in range(n))
            for t in range(n):
                out[t, head] = unit(q[b, t, head]) @ memory / math.sqrt(4)
        expected = layer.norm(x[b, :n] + linear(layer.out, out))
        torch.testing.assert_close(layer(x, x, real)[b, :n], expected, atol=1e-6, rtol=1e-5)


def naive_scan(u, dt, A, B, C):
    h, out = u.new_zeros(u.shape[0], u.shape[2], A.shape[1]), []
    for t in range(u.shape[1]):
        h = torch.exp(dt[:, t, :, None] * A) * h
        h = h + (dt[:, t] * u[:, t])[..., None] * B[:, t, None, :]
        out.append((h * C[:, t, None, :]).sum(-1))
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("shape", [(3, 7, 5, 4), (2, 1, 3, 2), (300, 9, 2, 3)])
def test_the_scan_and_its_gradients_equal_the_recurrence(shape):
    batch, L, D, n = shape
    rng = torch.Generator().manual_seed(0)

    def inputs():
        rng.manual_seed(0)
        sizes = ((batch, L, D), (batch, L, D), (D, n), (batch, L, n), (batch, L, n))
        u, dt, A, B, C = (torch.randn(s, generator=rng, dtype=torch.float64) for s in sizes)
        return [t.requires_grad_() for t in (u, dt.abs(), -A.abs(), B, C)]

    ours, naive = inputs(), inputs()
    upstream = torch.randn((batch, L, D), generator=rng, dtype=torch.float64)
    y, expected = selective_scan(*ours), naive_scan(*naive)
    torch.testing.assert_close(y, expected)
    (y * upstream).sum().backward()
    (expected * upstream).sum().backward()
    for a, b in zip(ours, naive, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_the_mamba_block_equals_its_formulas():
    torch.manual_seed(0)
    block = MambaBlock(8, d_state=3, d_conv=4, expand=2)
    x = torch.randn(2, 6, 8)
    u, gate = (x @ block.in_proj.weight.T).split(16, dim=-1)
    conv = F.conv1d(
        F.pad(u.transpose(1, 2), (3, 0)), block.conv.weight, block.conv.bias, groups=16
    ).transpose(1, 2)
    u = F.silu(conv)
    dt, B, C = (u @ block.x_proj.weight.T).split([1, 3, 3], dim=-1)
    dt = F.softplus(linear(block.dt_proj, dt))
    y = naive_scan(u, dt, -torch.exp(block.A_log), B, C) + block.D * u
    expected = (y * F.silu(gate)) @ block.out_proj.weight.T
    torch.testing.assert_close(block(x), expected, atol=1e-6, rtol=1e-5)


def test_mamba_step_sizes_start_as_stated():
    reset, native = (build("mamba4rec", dt_init=kind) for kind in ("reset", "native"))
    for model, low, high in ((reset, math.log(2), math.log(2)), (native, 1e-3, 0.1)):
        for part in model.modules():
            if isinstance(part, MambaBlock):
                dt = F.softplus(part.dt_proj.bias)
                assert low - 1e-5 <= dt.min() <= dt.max() <= high + 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("name", backbones.registry.names())
def test_states_on_a_gpu_equal_those_on_the_cpu(name):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = build(name)
    items, lengths = torch.randint(1, 101, (4, 20)), torch.full((4,), 20)
    here = model(items, lengths)
    there = model.cuda()(items.cuda(), lengths.cuda()).cpu()
    torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("heads", [1, 2])
def test_directions_are_normalised_elu_and_so_is_their_gradient(heads):
    x = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        x[0, 0] = 0.0  # no direction

    def plain(x):
        return F.normalize(F.elu(x).unflatten(-1, (heads, -1)), dim=-1).flatten(-2)

    assert torch.equal(directions(x, heads), plain(x))
    weight = torch.randn(3, 4, 6, dtype=torch.float64)
    (ours,), (theirs,) = (
        torch.autograd.grad((weight * function(x)).sum(), x)
        for function in (lambda x: directions(x, heads), plain)
    )
    assert torch.allclose(ours[1:], theirs[1:], rtol=1e-12, atol=1e-12)
    assert torch.allclose(ours[0, 0], theirs[0, 0])


@pytest.mark.parametrize("L", [2, 9])  # fewer than channels, and more
def test_linear_attention_is_bracketed_as_is_cheaper(L):
    q, k, v = (torch.randn(2, n, 4, dtype=torch.float64) for n in (3, L, L))
    expected = torch.einsum("bqc,blc,bld->bqd", q, k, v)
    assert torch.allclose(associated(q, k, v), expected)
