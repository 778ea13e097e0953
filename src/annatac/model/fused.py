"""The encoder for prediction on a GPU in bfloat16: a block of a layer is one kernel.

Both blocks of a layer have one form, LayerNorm(x + act(x W_in^T + b_in) W_out + b_out). The feed-forward block's
``act`` is GELU (its tanh form, within 5e-4 of the exact one: less than bfloat16 rounds by). Attention, folded
(:mod:`annatac.model.attention`), is a block whose hidden units are the K rows of each head, whose two weights are the
cell's own, and whose ``act`` is a softmax over the rows of a head. What lies between the two products, several times as
long as a token's vector, never leaves the multiprocessor: of 12 kB a token and layer that separate kernels read and
write, 2 kB are left, and it was those, not the products, that took the time.

Needs Triton, which PyTorch brings along where it is made for a GPU.
"""

from __future__ import annotations

from typing import cast

import torch
import triton
import triton.language as tl
from torch import Tensor

from annatac.model.encoder import Encoder, EncoderLayer
from annatac.model.layers import LayerNorm, Linear
from annatac.model.tokens import TokenBatch

BLOCK = 128  # tokens that a program holds
CHUNKS = 64, 32, 16  # hidden units that it makes at a time: the first that all of them can be cut into
_LAUNCH = {"num_warps": 8, "num_stages": 3}


class FusedEncoder:
    """An encoder as it is now, its weights prepared for the kernels."""

    def __init__(self, encoder: Encoder, dtype: torch.dtype = torch.bfloat16) -> None:
        self.encoder, self.dtype = encoder, dtype
        with torch.no_grad():
            self.layers = [_FusedLayer(encoder, index, dtype) for index in range(len(encoder.layers))]

    @staticmethod
    def fits(encoder: Encoder) -> bool:
        """Tell whether the kernels can run it: one projection a layer, and sizes that can be cut into tiles."""
        config = encoder.config
        return bool(
            config.thin
            and encoder.projection.per_layer == 1
            and _parts(config.width)
            and config.feed_forward % CHUNKS[-1] == 0
            and config.k in (16, 32, 64, 128)
        )

    def __call__(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """Return token vectors (B, N, D) in the chosen precision and position vectors (B, N, R)."""
        vectors_BNR = self.encoder.table(batch.islands_BN)
        x_BND = self.encoder.embedding(batch.classes_BN, vectors_BNR.to(self.dtype))
        rows_BNR = self.encoder.projection.rows(0, batch, vectors_BNR)[0].to(self.dtype)
        for layer in self.layers:
            x_BND = layer(x_BND, rows_BNR)
        return x_BND, vectors_BNR


class _FusedLayer:
    """One layer. The cell's scores and mixed values, (K, 2 H D), are its summary times one matrix, plus a constant.

    Of head h, S_h = K'_h W_q,h / sqrt(d) = E^T X (W_k,h^T W_q,h) / sqrt(d) + b (1^T W_q,h) / sqrt(d), and likewise
    M_h = V'_h W_o,h^T.
    """

    def __init__(self, encoder: Encoder, index: int, dtype: torch.dtype) -> None:
        layer = cast(EncoderLayer, encoder.layers[index])
        attention, config = layer.attention, encoder.config
        self.k, heads = config.k, (config.n_heads, config.head_dim, config.width)
        query_HdD = attention.query.weight.float().view(heads) * config.head_dim**-0.5
        out_HdD = attention.out.weight.float().T.reshape(heads)
        key_HdD, value_HdD = (
            attention.key.weight.float().view(heads),
            attention.value.weight.float().view(heads),
        )
        folded = torch.cat(
            [torch.einsum("hdw,hdv->whv", a, b) for a, b in ((key_HdD, query_HdD), (value_HdD, out_HdD))],
            dim=1,
        )
        sums = torch.cat([query_HdD.sum(1), out_HdD.sum(1)])
        weight_RK, bias_K = encoder.projection.of_layer(index)
        self.weight_KR = weight_RK.float().T.contiguous().to(dtype)
        self.folded = folded.flatten(1).to(dtype)
        self.constant = (bias_K.float()[:, None] * sums.flatten()).to(dtype)
        self.attention_bias, self.attention_norm = attention.out.bias.float(), layer.norm_attention
        first, last = (cast(Linear, layer.feed_forward[i]) for i in (0, 2))
        self.w_in, self.w_out = first.weight.to(dtype), last.weight.T.contiguous().to(dtype)
        self.b_in, self.b_out, self.norm = first.bias.float(), last.bias.float(), layer.norm_feed_forward
        self.chunk = next(each for each in CHUNKS if len(self.w_in) % each == 0)

    def __call__(self, x_BND: Tensor, rows_BNR: Tensor) -> Tensor:
        summary_BKD = self.weight_KR @ (rows_BNR.mT @ x_BND)
        both_BK = summary_BKD @ self.folded + self.constant  # S, then M; of each, head after head
        scores, mixed = both_BK.chunk(2, dim=-1)
        x_BND = block(x_BND, scores, None, mixed, self.attention_bias, self.attention_norm, self.k)
        flat = x_BND.flatten(0, 1)[None]
        return block(flat, self.w_in, self.b_in, self.w_out, self.b_out, self.norm, self.chunk).view_as(x_BND)


def block(
    x_BND: Tensor,
    w_in: Tensor,
    b_in_F: Tensor | None,
    w_out: Tensor,
    b_out_D: Tensor,
    norm: LayerNorm,
    chunk: int,
) -> Tensor:
    """Return LayerNorm(x + act(x W_in^T + b_in) W_out + b_out), of the shape and precision of x.

    With ``b_in_F`` the weights are (F, D) of all cells, ``chunk`` divides F, and ``act`` is GELU. Without, they are
    the cells' own, parts of one (B, K, 2 H D) with H heads one after the other, ``chunk`` is K, and ``act`` a softmax
    over K.
    """
    n_cells, n_tokens, width = x_BND.shape
    first, second = _parts(width) or (0, 0)
    y_BND = torch.empty_like(x_BND)
    if b_in_F is None:
        n_chunks, strides = w_in.shape[2] // width, (w_in.stride(0), w_in.stride(1), width)
    else:
        n_chunks, strides = len(w_in) // chunk, (0, width, chunk * width)
    _block[(triton.cdiv(n_tokens, BLOCK), n_cells)](
        *(x_BND, w_in, b_out_D if b_in_F is None else b_in_F, w_out, b_out_D, norm.weight, norm.bias, y_BND),
        *(n_tokens, norm.eps, *strides),
        N_CHUNKS=n_chunks,
        CHUNK=chunk,
        FIRST=first,
        SECOND=second,
        BLOCK=BLOCK,
        SOFTMAX=b_in_F is None,
        **_LAUNCH,
    )
    return y_BND


def _parts(width: int) -> tuple[int, int] | None:
    """Return a width of up to 256 as the sum of two powers of two from 16 on, the second of which may be 0, or None."""
    first = 1 << (width.bit_length() - 1)
    second = width - first
    if not 16 <= first <= width <= 256 or (second and (second < 16 or second & (second - 1))):
        return None
    return first, second


@triton.jit
def _block(  # type: ignore[no-untyped-def]
    x_ptr,
    in_ptr,
    in_bias_ptr,
    out_ptr,
    out_bias_ptr,
    gain_ptr,
    shift_ptr,
    y_ptr,
    n_tokens,
    eps,
    cell_stride,
    unit_stride,
    chunk_stride,
    N_CHUNKS: tl.constexpr,
    CHUNK: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    BLOCK: tl.constexpr,
    SOFTMAX: tl.constexpr,
):
    WIDTH: tl.constexpr = FIRST + SECOND
    cell = tl.program_id(1).to(tl.int64)
    token = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = (token < n_tokens)[:, None]
    start_of = ((cell * n_tokens + token) * WIDTH)[:, None]
    unit = tl.arange(0, CHUNK)
    in_unit = in_ptr + cell * cell_stride + unit[None] * unit_stride
    out_unit = out_ptr + cell * cell_stride + unit[:, None] * unit_stride

    # a tile's sides are powers of two: a width of 192 is held as 128 and 64
    at_1 = tl.arange(0, FIRST)
    x_1 = tl.load(x_ptr + start_of + at_1[None], mask=real, other=0.0)
    sum_1 = tl.zeros((BLOCK, FIRST), tl.float32)
    if SECOND:
        at_2 = FIRST + tl.arange(0, SECOND)
        x_2 = tl.load(x_ptr + start_of + at_2[None], mask=real, other=0.0)
        sum_2 = tl.zeros((BLOCK, SECOND), tl.float32)

    for i in range(N_CHUNKS):
        hidden = tl.dot(x_1, tl.load(in_unit + i * chunk_stride + at_1[:, None]))
        if SECOND:
            hidden = tl.dot(x_2, tl.load(in_unit + i * chunk_stride + at_2[:, None]), hidden)
        if SOFTMAX:
            hidden = tl.exp(hidden - tl.max(hidden, 1)[:, None])
            hidden = hidden / tl.sum(hidden, 1)[:, None]
        else:
            hidden += tl.load(in_bias_ptr + i * CHUNK + unit)[None]
            # x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)), by powers of two
            hidden = hidden / (1 + tl.exp2(hidden * (-2.302208198 - 0.1029432397 * hidden * hidden)))
        act = hidden.to(x_1.dtype)
        sum_1 = tl.dot(act, tl.load(out_unit + i * chunk_stride + at_1[None]), sum_1)
        if SECOND:
            sum_2 = tl.dot(act, tl.load(out_unit + i * chunk_stride + at_2[None]), sum_2)

    sum_1 += x_1.to(tl.float32) + tl.load(out_bias_ptr + at_1)[None]
    total = tl.sum(sum_1, 1)
    if SECOND:
        sum_2 += x_2.to(tl.float32) + tl.load(out_bias_ptr + at_2)[None]
        total += tl.sum(sum_2, 1)
    mean = (total / WIDTH)[:, None]
    sum_1 -= mean
    squares = tl.sum(sum_1 * sum_1, 1)
    if SECOND:
        sum_2 -= mean
        squares += tl.sum(sum_2 * sum_2, 1)
    scale = tl.rsqrt(squares / WIDTH + eps)[:, None]
    y_1 = sum_1 * scale * tl.load(gain_ptr + at_1)[None] + tl.load(shift_ptr + at_1)[None]
    tl.store(y_ptr + start_of + at_1[None], y_1.to(x_1.dtype), mask=real)
    if SECOND:
        y_2 = sum_2 * scale * tl.load(gain_ptr + at_2)[None] + tl.load(shift_ptr + at_2)[None]
        tl.store(y_ptr + start_of + at_2[None], y_2.to(x_1.dtype), mask=real)
